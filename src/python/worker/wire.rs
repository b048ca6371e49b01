// SPDX-License-Identifier: MIT

//! Requests and answers as bytes; the formats are those of worker.py.

use crate::python::Shape;
use crate::python::abi::Moment;

/// A returned array in the shared memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    pub offset: usize,
    pub bytes: usize,
    pub frames: usize,
}

/// What the worker made of a call.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    InPlace,
    Parts(Vec<Part>),
}

/// Bytes of an answer before its parts, and of a part.
const HEAD: usize = 8;
const PART: usize = 24;
/// Most parts that fit into a packet.
const PARTS: usize = super::PACKET / PART;

/// Reads an answer: its kind, the number of parts, the parts. `copy` copies it from its start, as
/// far as it goes. `None` where it makes no sense.
pub fn answer(copy: impl Fn(&mut [u8])) -> Option<Answer> {
    let mut head = [0; HEAD];
    copy(&mut head);
    let [kind, _, _, _, count @ ..] = head;
    match kind {
        b'I' => return Some(Answer::InPlace),
        b'R' => {}
        _ => return None,
    }
    let count = u32::from_le_bytes(count) as usize;
    if count > PARTS {
        return None;
    }
    let mut all = vec![0; HEAD + PART * count];
    copy(&mut all);
    let number = |bytes: &[u8]| -> Option<usize> {
        usize::try_from(u64::from_le_bytes(bytes.try_into().ok()?)).ok()
    };
    let part = |part: &[u8]| {
        Some(Part {
            offset: number(&part[..8])?,
            bytes: number(&part[8..16])?,
            frames: number(&part[16..])?,
        })
    };
    let parts: Option<Vec<_>> = all[HEAD..].chunks_exact(PART).map(part).collect();
    parts.map(Answer::Parts)
}

/// Where the audio lies: what is the same for most calls of a stream.
pub fn shape(r: &mut Vec<u8>, shape: &Shape, moment: &Moment, writable: bool, len: [usize; 2]) {
    let flags = u32::from(writable)
        | u32::from(shape.channels_first) << 1
        | u32::from(moment.discont) << 2
        | u32::from(moment.gap) << 3;
    for v in [len[0], len[1], shape.frames, shape.channels] {
        r.extend_from_slice(&(v as u64).to_le_bytes());
    }
    for v in [shape.frame_stride, shape.channel_stride] {
        r.extend_from_slice(&(v as i64).to_le_bytes());
    }
    r.extend_from_slice(&shape.sample.to_le_bytes());
    r.extend_from_slice(&flags.to_le_bytes());
}

/// Where it lies in the stream.
pub fn moment(r: &mut Vec<u8>, moment: &Moment) {
    let s = &moment.segment;
    for v in [
        moment.pts,
        moment.duration,
        moment.stream_time,
        moment.running_time,
    ] {
        r.extend_from_slice(&v.to_le_bytes());
    }
    r.extend_from_slice(&moment.speech.to_le_bytes());
    r.extend_from_slice(&moment.utterance.to_le_bytes());
    r.extend_from_slice(&moment.attempt.to_le_bytes());
    r.extend_from_slice(&s.rate.to_le_bytes());
    for v in [s.start, s.stop, s.time, s.base] {
        r.extend_from_slice(&v.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn read(bytes: &[u8]) -> Option<Answer> {
        answer(|to| {
            let len = to.len().min(bytes.len());
            to[..len].copy_from_slice(&bytes[..len]);
        })
    }

    proptest! {
        #[test]
        fn any_bytes_of_a_worker_are_an_answer_or_none(bytes in vec(any::<u8>(), 0..4096)) {
            let kind = bytes.first().copied();
            match read(&bytes) {
                None => {}
                Some(Answer::InPlace) => prop_assert_eq!(kind, Some(b'I')),
                Some(Answer::Parts(parts)) => {
                    prop_assert_eq!(kind, Some(b'R'));
                    prop_assert!(parts.len() <= PARTS);
                }
            }
        }

        #[test]
        fn parts_are_read_as_a_worker_writes_them(
            parts in vec((any::<u32>(), any::<u32>(), any::<u32>()), 0..=PARTS),
        ) {
            let mut bytes = b"R\0\0\0".to_vec();
            bytes.extend_from_slice(&(parts.len() as u32).to_le_bytes());
            for (offset, len, frames) in &parts {
                for v in [offset, len, frames] {
                    bytes.extend_from_slice(&u64::from(*v).to_le_bytes());
                }
            }
            let parts = parts.into_iter().map(|(offset, bytes, frames)| Part {
                offset: offset as usize,
                bytes: bytes as usize,
                frames: frames as usize,
            });
            prop_assert_eq!(read(&bytes), Some(Answer::Parts(parts.collect())));
        }
    }

    #[test]
    fn what_makes_no_sense_is_no_answer() {
        let mut good = b"R\0\0\0\x01\0\0\0".to_vec();
        for v in [16u64, 800, 100] {
            good.extend_from_slice(&v.to_le_bytes());
        }
        let part = Part {
            offset: 16,
            bytes: 800,
            frames: 100,
        };
        assert_eq!(read(&good), Some(Answer::Parts(vec![part])));
        assert_eq!(read(b"I\0\0\0\0\0\0\0"), Some(Answer::InPlace));
        for bad in [&b"R\0\0\0\xff\xff\xff\xff"[..], b"Q\0\0\0\0\0\0\0", b""] {
            assert_eq!(read(bad), None, "{bad:?}");
        }
    }
}
