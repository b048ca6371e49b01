// SPDX-License-Identifier: MIT

use super::*;

const SAMPLES: usize = 24_000;
const FRAMES: usize = SAMPLES / HOP;

/// Made audio of the training program's vectors.
fn audio() -> Vec<f32> {
    vectors()[0].0.clone()
}

/// Made audio and the logits of `tools/vad_train/vectors.py` by look-ahead: as it is, and divided by 100.
fn vectors() -> [(Vec<f32>, Vec<Vec<f32>>); 2] {
    let (audio, logits) = include_bytes!("vectors.bin").split_at(SAMPLES * 2);
    let audio = audio.as_chunks().0.iter();
    let audio: Vec<f64> = audio.map(|x| f64::from(i16::from_le_bytes(*x))).collect();
    let logits = logits.as_chunks().0.iter();
    let logits: Vec<f32> = logits.map(|x| f32::from_le_bytes(*x)).collect();
    let (loud, quiet) = logits.split_at(LookAhead::ALL.len() * FRAMES);
    [(1.0, loud), (100.0, quiet)].map(|(divisor, logits)| {
        let audio = audio
            .iter()
            .map(|x| (x / divisor).round_ties_even() / 32768.0);
        let logits = logits.chunks(FRAMES).map(<[f32]>::to_vec);
        (audio.map(|x| x as f32).collect(), logits.collect())
    })
}

/// Decisions as they come, one per hop, `None` left out.
fn run(neural: &mut Neural, audio: &[f32]) -> Vec<f32> {
    let hop = neural.plan.hop();
    audio
        .chunks_exact(hop)
        .filter_map(|x| neural.push(x))
        .collect()
}

/// The vowel, 0.2 to 0.65 s, is far more probable than the hiss before it.
fn assert_vowel(found: &[f32]) {
    let largest = |p: &[f32]| p.iter().copied().fold(0.0, f32::max);
    let (hiss, vowel) = (largest(&found[5..15]), largest(&found[25..60]));
    assert!(vowel > 0.2 && vowel > 10.0 * hiss, "{vowel} after {hiss}");
}

#[test]
fn probabilities_are_those_of_the_training_program() {
    for (audio, wanted) in &vectors() {
        assert_eq!(wanted.len(), LookAhead::ALL.len());
        for (look_ahead, wanted) in LookAhead::ALL.into_iter().zip(wanted) {
            for level in Level::available() {
                assert_probabilities(level, look_ahead, audio, wanted);
            }
        }
        // There is something to tell.
        let all = wanted.concat();
        assert!(all.iter().any(|l| *l > -1.5) && all.iter().any(|l| *l < -6.0));
    }
}

fn assert_probabilities(level: Level, look_ahead: LookAhead, audio: &[f32], wanted: &[f32]) {
    let mut neural = Neural::at(level, Plan::Wide, look_ahead);
    // The training program hears nothing backwards.
    neural.opening = Opening::over();
    let found = run(&mut neural, audio);
    assert_eq!(found.len(), FRAMES - look_ahead.frames());
    for (t, (found, wanted)) in found.iter().zip(&wanted[look_ahead.frames()..]).enumerate() {
        let wanted = sigmoid(*wanted);
        assert!(
            (found - wanted).abs() < 0.01,
            "{level:?} {look_ahead:?} frame {t}: {found} for {wanted}"
        );
    }
}

#[test]
fn a_stream_that_begins_in_the_midst_of_speech_begins_with_it() {
    let audio = audio();
    // The vowel lasts from 0.2 to 0.65 s.
    let vowel = &audio[HOP * 35..HOP * 60];
    let found = run(&mut Neural::new(Plan::Wide, LookAhead::Short), vowel);
    // The greatest logit that is known holds for 100 ms.
    let held = &found[4..10];
    assert!(held.windows(2).all(|p| p[1] >= p[0]), "{held:?}");
    assert!(held[0] > 0.4, "{held:?}");
    let mut late = Neural::new(Plan::Wide, LookAhead::Short);
    late.opening = Opening::over();
    let late = run(&mut late, vowel);
    assert!(late[4] < held[0], "{} for {}", late[4], held[0]);
}

#[test]
fn instruction_sets_agree() {
    let audio = audio();
    let of = |level| run(&mut Neural::at(level, Plan::Wide, LookAhead::Short), &audio);
    let wanted = of(Level::best());
    for level in Level::available() {
        for (a, b) in of(level).iter().zip(&wanted) {
            assert!((a - b).abs() < 1e-4, "{level:?}: {a} for {b}");
        }
    }
}

#[test]
fn a_reset_forgets_everything() {
    let audio = audio();
    let mut neural = Neural::new(Plan::Wide, LookAhead::Short);
    let first = run(&mut neural, &audio);
    neural.reset();
    assert_eq!(run(&mut neural, &audio), first);
}

#[test]
fn frames_in_gaps_are_no_speech_and_those_before_take_what_there_is() {
    let audio = audio();
    let mut neural = Neural::new(Plan::Wide, LookAhead::Long);
    // 30 ms before the end of the vowel.
    let before = run(&mut neural, &audio[..HOP * 57]);
    assert_eq!(before.len(), 47);
    let after: Vec<f32> = (0..20).filter_map(|_| neural.push_gap()).collect();
    assert_eq!(after.len(), 20);
    assert_eq!(after[..10], [*before.last().unwrap(); 10]);
    assert_eq!(after[10..], [0.0; 10]);
    assert_eq!(neural.push(&audio[..HOP]), Some(0.0));
}

#[test]
fn frames_after_a_gap_in_the_opening_do_not_know_of_those_before() {
    let audio = audio();
    let (hiss, vowel) = (&audio[..HOP * 6], &audio[HOP * 35..HOP * 60]);
    for hops in 6..=9 {
        let mut neural = Neural::new(Plan::Wide, LookAhead::None);
        run(&mut neural, &vowel[..HOP * hops]);
        assert_eq!(neural.push_gap(), Some(0.0));
        for hop in hiss.chunks_exact(HOP) {
            assert_eq!(neural.push(hop), Some(sigmoid(neural.logit)), "{hops}");
        }
    }
}

#[test]
fn frames_before_a_gap_in_the_opening_take_the_greatest_logit_known_then() {
    let audio = audio();
    let (hiss, vowel) = (&audio[..HOP * 15], &audio[HOP * 35..HOP * 60]);
    for hops in 8..=9 {
        let mut neural = Neural::new(Plan::Wide, LookAhead::Long);
        run(&mut neural, &hiss[..HOP * hops]);
        neural.push_gap();
        let known = sigmoid(neural.greatest);
        let found = run(&mut neural, &vowel[..HOP * 6]);
        assert_eq!(found, vec![known; hops - 3], "{hops}");
    }
}

#[test]
fn what_was_known_before_the_opening_was_heard_again_does_not_count() {
    let vowel = &audio()[HOP * 35..HOP * 60];
    let mut neural = Neural::new(Plan::Wide, LookAhead::None);
    run(&mut neural, &vowel[..HOP * 7]);
    // As if the network that knew nothing had been sure.
    (neural.said, neural.logits) = (MOST, [scaled(MOST); 2]);
    let found = run(&mut neural, &vowel[HOP * 7..HOP * 8]);
    assert_eq!(neural.logits[1], 0.0);
    assert_eq!(found, [sigmoid(neural.logits[0] / LOGIT_SCALE)]);
}

#[test]
fn speech_that_bands_showed_before_a_gap_is_forgotten_after_80_ms_of_it() {
    let mut neural = Neural::new(Plan::Wide, LookAhead::Short);
    // To the midst of the vowel.
    run(&mut neural, &audio()[..HOP * 50]);
    let mut told = |gaps| {
        for _ in 0..gaps {
            neural.push_gap();
        }
        let frame = told::Frame {
            clear: 10.0,
            ratio: -3.0,
            raised: 0.0,
        };
        neural.told.settle(7.0, 0.0, &frame)
    };
    assert!(told(0) > 0.0);
    assert_eq!(told(7), 0.0);
}

#[test]
fn the_end_gives_every_frame() {
    let audio = audio();
    for look_ahead in LookAhead::ALL {
        let mut neural = Neural::new(Plan::Wide, look_ahead);
        let mut found = run(&mut neural, &audio);
        while found.len() < FRAMES {
            found.push(neural.push_end().expect("a decision"));
        }
        assert!(found.iter().all(|p| (0.0..=1.0).contains(p)));
    }
}

#[test]
fn what_is_no_audio_leaves_numbers_and_does_no_harm() {
    let audio = audio();
    let hostile: [fn(usize) -> f32; 7] = [
        |_| 0.0,
        |_| f32::NAN,
        |_| f32::INFINITY,
        |_| f32::NEG_INFINITY,
        |i| if i / 40 % 2 == 0 { 1.0 } else { -1.0 },
        |i| if i % 2 == 0 { 1e-40 } else { -1e-40 },
        |_| 1.0,
    ];
    let mut neural = Neural::new(Plan::Wide, LookAhead::None);
    for sample in hostile {
        let noise: Vec<f32> = (0..HOP * 50).map(sample).collect();
        let found = run(&mut neural, &noise);
        assert!(found.iter().all(|p| (0.0..=1.0).contains(p)), "{found:?}");
    }
    // The vowel is still told from the hiss before it.
    let silence = vec![0.0; HOP * 300];
    run(&mut neural, &silence);
    assert_vowel(&run(&mut neural, &audio));
}

#[test]
fn the_level_of_the_input_does_not_matter_where_it_is_raised() {
    let audio = audio();
    let mut found = [0.0, -20.0].map(|db: f32| {
        let gain = 10f32.powf(db / 20.0);
        let audio: Vec<f32> = audio.iter().map(|x| x * gain).collect();
        run(&mut Neural::new(Plan::Wide, LookAhead::Short), &audio)
    });
    let [loud, quiet] = found
        .each_mut()
        .map(|p| p.drain(25..55).sum::<f32>() / 30.0);
    // The noise of the quiet one is below the lowest level: it seems less clear.
    assert!((loud - quiet).abs() < 0.2, "{loud} {quiet}");
}

#[test]
fn half_the_rate_is_heard_as_well() {
    let audio = audio();
    let half: Vec<f32> = audio
        .as_chunks::<2>()
        .0
        .iter()
        .map(|[a, b]| 0.5 * (a + b))
        .collect();
    let mut neural = Neural::new(Plan::Narrow, LookAhead::Short);
    let found = run(&mut neural, &half);
    assert_eq!(found.len(), FRAMES - 3);
    assert_vowel(&found);
    assert!(neural.memory() < 18_000, "{}", neural.memory());
}
