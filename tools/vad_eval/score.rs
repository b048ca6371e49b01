// SPDX-License-Identifier: MIT

//! ROC figures of scored frames.

/// Area under the ROC curve and recall at two rates of false alarms.
#[derive(Clone, Copy, Debug, Default)]
pub struct Score {
    pub auc: f64,
    pub recall_5: f64,
    pub recall_10: f64,
}

/// Of frames given as (probability, is speech).
pub fn score(frames: &mut [(f32, bool)]) -> Score {
    frames.sort_by(|a, b| b.0.total_cmp(&a.0));
    let positives = frames.iter().filter(|f| f.1).count() as f64;
    let negatives = frames.len() as f64 - positives;
    let mut s = Score::default();
    let (mut hits, mut alarms) = (0.0, 0.0);
    let mut i = 0;
    while i < frames.len() {
        let (hits_before, alarms_before) = (hits, alarms);
        // Equal probabilities are one point of the curve.
        let p = frames[i].0;
        while i < frames.len() && frames[i].0 == p {
            if frames[i].1 {
                hits += 1.0;
            } else {
                alarms += 1.0;
            }
            i += 1;
        }
        s.auc += (alarms - alarms_before) * (hits + hits_before) / 2.0;
        if alarms <= 0.05 * negatives {
            s.recall_5 = hits / positives;
        }
        if alarms <= 0.10 * negatives {
            s.recall_10 = hits / positives;
        }
    }
    s.auc /= positives * negatives;
    s
}
