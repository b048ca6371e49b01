// SPDX-License-Identifier: MIT

//! Caps: what can be converted to what, and what is preferred. As `audioconvert` does it.

use gst::PadDirection;

use super::mixing::{Mixes, Mixing};
use crate::dsp::convert::MatrixError;

/// Every raw format, layout and channel count.
pub fn template() -> gst::Caps {
    let formats = gst_audio::AudioFormat::iter_raw();
    gst_audio::AudioCapsBuilder::new()
        .format_list(formats)
        .layout_list([
            gst_audio::AudioLayout::Interleaved,
            gst_audio::AudioLayout::NonInterleaved,
        ])
        .build()
}

/// What `caps` on the pad of `direction` can become on the other one.
pub fn transform(
    mixes: &Mixes<'_>,
    direction: PadDirection,
    caps: &gst::Caps,
    filter: Option<&gst::Caps>,
) -> gst::Caps {
    let mut result = through(mixes.set, direction, caps, filter);
    // A mix that does not suit the stream waits for caps that it suits while the one in use goes
    // on; upstream gives what the new one is for, where it can.
    if let Some(before) = mixes.before
        && (direction == PadDirection::Sink || filter.is_some() && result.is_empty())
    {
        let (here, there) = match direction {
            PadDirection::Sink => (before.inputs, before.outputs),
            _ => (before.outputs, before.inputs),
        };
        let same = with_channels(caps, here);
        let same = through(&before.mixing, direction, &same, filter);
        result.merge(with_channels(&same, there));
    }
    result
}

/// The structures of `caps` that may have so many channels, with as many.
fn with_channels(caps: &gst::Caps, channels: i32) -> gst::Caps {
    let any = gst::Caps::builder("audio/x-raw")
        .field("channels", channels)
        .build();
    caps.intersect_with_mode(&any, gst::CapsIntersectMode::First)
}

/// What `caps` can become by `mixing`.
fn through(
    mixing: &Mixing,
    direction: PadDirection,
    caps: &gst::Caps,
    filter: Option<&gst::Caps>,
) -> gst::Caps {
    let (_, channels) = ends(mixing, direction);
    let mut other = caps.clone();
    let mut placed = gst::Caps::new_empty();
    for s in other.make_mut().iter_mut() {
        s.remove_fields(["format", "layout"]);
        if is_unpositioned(s) && !mixing.places_unpositioned(direction) {
            // As many, better without positions; to those of positions they pass one to one.
            let mut s = s.to_owned();
            s.remove_field("channel-mask");
            placed.make_mut().append_structure(s);
            continue;
        }
        s.remove_fields(["channel-mask", "channels"]);
        if let Some(channels) = channels {
            s.set("channels", channels);
        }
    }
    let meet = |caps: gst::Caps| match filter {
        Some(filter) => filter.intersect_with_mode(&caps, gst::CapsIntersectMode::First),
        None => caps,
    };
    let mut result = meet(other);
    result.merge(meet(placed));
    if mixing.places_unpositioned(opposite(direction)) {
        result
    } else {
        mixable(caps, &result)
    }
}

/// `other` without what no mix of `caps` leads to: where positions are unknown on the other side,
/// channels can only be as many.
fn mixable(caps: &gst::Caps, other: &gst::Caps) -> gst::Caps {
    let mut result = gst::Caps::new_empty();
    for s in other.iter() {
        let alone = gst::Caps::from(s.to_owned());
        if !is_unpositioned(s) {
            result.merge(alone);
            continue;
        }
        for channels in caps.iter().map(|c| c.value("channels").ok()) {
            let mut count = gst::Structure::new_empty("audio/x-raw");
            if let Some(channels) = channels {
                count.set_value("channels", channels.clone());
            }
            let count = gst::Caps::from(count);
            result.merge(alone.intersect_with_mode(&count, gst::CapsIntersectMode::First));
        }
    }
    result
}

/// Whether `s` is of channels without positions.
fn is_unpositioned(s: &gst::StructureRef) -> bool {
    let mask = s.get::<gst::Bitmask>("channel-mask");
    mask.is_ok_and(|mask| mask.0 == 0) && s.get::<i32>("channels") != Ok(1)
}

fn opposite(direction: PadDirection) -> PadDirection {
    match direction {
        PadDirection::Sink => PadDirection::Src,
        _ => PadDirection::Sink,
    }
}

/// Channels that the matrix of `mixing` takes on the side of `direction` and on the other.
fn ends(mixing: &Mixing, direction: PadDirection) -> (Option<i32>, Option<i32>) {
    match direction {
        PadDirection::Sink => (mixing.inputs(), mixing.outputs()),
        _ => (mixing.outputs(), mixing.inputs()),
    }
}

/// Why `caps` on the pad of `direction` become nothing of `other`, if that is for the channels alone.
pub fn refusal(
    mixes: &Mixes<'_>,
    direction: PadDirection,
    caps: &gst::Caps,
    other: &gst::Caps,
) -> Option<MatrixError> {
    if !transform(mixes, direction, caps, Some(other)).is_empty() {
        return None;
    }
    let here = caps.structure(0)?;
    let mut any_channels = here.to_owned();
    any_channels.remove_fields(["format", "layout", "channels", "channel-mask"]);
    let any_channels = gst::Caps::from(any_channels);
    let met = other.intersect_with_mode(&any_channels, gst::CapsIntersectMode::First);
    let here = nearest_channels(here, 1)?;
    let there = nearest_channels(met.structure(0)?, here)?;
    let (inputs, outputs) = match direction {
        PadDirection::Sink => (here, there),
        _ => (there, here),
    };
    let count = |n: i32| usize::try_from(n).ok();
    mixes.set.refusal(count(inputs)?, count(outputs)?)
}

/// The number of channels that `s` allows nearest to `n`.
fn nearest_channels(s: &gst::StructureRef, n: i32) -> Option<i32> {
    let mut s = s.to_owned();
    if s.has_field("channels") {
        s.fixate_field_nearest_int("channels", n);
    }
    s.get::<i32>("channels").ok()
}

/// Chooses among `other` what is closest to `caps` on the pad of `direction`: no conversion at all
/// if possible, else the same channels, else the nearest; the same format, else one that loses
/// nothing.
pub fn fixate(
    mixes: &Mixes<'_>,
    direction: PadDirection,
    caps: &gst::Caps,
    other: gst::Caps,
) -> gst::Caps {
    let other = preferred(mixes.set, direction, caps, other);
    let mut result = other.intersect(caps);
    if result.is_empty() {
        let mut alike = caps.clone();
        for s in alike.make_mut().iter_mut() {
            s.remove_fields(["format", "layout"]);
        }
        result = other.intersect(&alike);
    }
    if result.is_empty() {
        result = other;
    }
    if let (Some(from), Some(to)) = (caps.structure(0), result.make_mut().structure_mut(0)) {
        fixate_channels(from, to);
        fixate_format(from, to);
    }
    result.fixate();
    result
}

/// What of `other` the mix that was set last leads to; all of it where that is nothing.
fn preferred(
    mixing: &Mixing,
    direction: PadDirection,
    caps: &gst::Caps,
    other: gst::Caps,
) -> gst::Caps {
    let (channels, _) = ends(mixing, direction);
    let fits = |channels| !with_channels(caps, channels).is_empty();
    if !channels.is_none_or(fits) {
        return other;
    }
    let own = through(mixing, direction, caps, Some(&other));
    if own.is_empty() { other } else { own }
}

fn mask(s: &gst::StructureRef, channels: i32) -> Option<u64> {
    match s.get::<gst::Bitmask>("channel-mask") {
        Ok(mask) => Some(mask.0),
        // Two channels are left and right unless something else is said.
        Err(_) => (channels == 2).then_some(0x3),
    }
}

fn fixate_channels(from: &gst::StructureRef, to: &mut gst::StructureRef) {
    let Ok(ins) = from.get::<i32>("channels") else {
        return;
    };
    if to.has_field("channels") {
        to.fixate_field_nearest_int("channels", ins);
    }
    let Ok(outs) = to.get::<i32>("channels") else {
        to.remove_field("channel-mask");
        return;
    };
    if !to.has_field("channel-mask") && outs == 2 {
        to.set("channel-mask", gst::Bitmask(0x3));
    }
    let wished = to
        .has_field("channel-mask")
        .then(|| mask(to, outs).unwrap_or(0));
    // Positions given up pass one to one.
    if wished == Some(0) {
        return;
    }
    let given = mask(from, ins);
    let Some(count) = u32::try_from(outs).ok() else {
        return;
    };
    match (wished, given) {
        // Mono is assumed.
        (None, None) if outs == 1 => return,
        (None, Some(_)) if outs == 1 && ins != 1 => return,
        (None, given) if ins == outs && (given.is_some() || ins == 1) => {
            if let Some(given) = given {
                to.set("channel-mask", gst::Bitmask(given));
            }
            return;
        }
        (Some(wished), given) if ins == outs && (given.is_some() || ins == 1) => {
            let given = given.unwrap_or(0);
            if wished == given || wished.count_ones() == count {
                return;
            }
            if wished.count_ones() > count {
                let kept = if (wished & given).count_ones() >= count {
                    given
                } else {
                    lowest(wished, count)
                };
                to.set("channel-mask", gst::Bitmask(kept));
                return;
            }
        }
        (Some(wished), _) if wished.count_ones() >= count => {
            to.set("channel-mask", gst::Bitmask(lowest(wished, count)));
            return;
        }
        _ => {}
    }
    if outs > 1 {
        let fallback = gst_audio::AudioChannelPosition::fallback_mask(count);
        to.set("channel-mask", gst::Bitmask(fallback));
    }
}

/// The `n` lowest bits of `mask` that are set.
fn lowest(mask: u64, n: u32) -> u64 {
    let mut above = mask;
    for _ in 0..n {
        above &= above.wrapping_sub(1);
    }
    mask - above
}

fn fixate_format(from: &gst::StructureRef, to: &mut gst::StructureRef) {
    let Some(given) = format(from.get::<&str>("format").ok()) else {
        return;
    };
    let Ok(list) = to.get::<gst::List>("format") else {
        return;
    };
    let mut best: Option<gst_audio::AudioFormatInfo> = None;
    for name in list.iter() {
        let Some(next) = format(name.get::<&str>().ok()) else {
            continue;
        };
        if next.format() == given.format() {
            best = Some(next);
            break;
        }
        if best.is_none_or(|best| better(&given, &best, &next)) {
            best = Some(next);
        }
    }
    if let Some(best) = best {
        to.set("format", best.name().as_str());
    }
}

fn format(name: Option<&str>) -> Option<gst_audio::AudioFormatInfo> {
    let format = gst_audio::AudioFormat::from_string(name?);
    (format != gst_audio::AudioFormat::Unknown && format != gst_audio::AudioFormat::Encoded)
        .then(|| gst_audio::AudioFormatInfo::from_format(format))
}

/// Whether `next` suits `given` better than `best` does: the first of the same depth, else the
/// first of a higher one, else the highest; among equals the first that is as whole or as floating
/// as `given`.
fn better(
    given: &gst_audio::AudioFormatInfo,
    best: &gst_audio::AudioFormatInfo,
    next: &gst_audio::AudioFormatInfo,
) -> bool {
    let alike = next.is_float() == given.is_float() && best.is_float() != given.is_float();
    let (given, best, next) = (given.depth(), best.depth(), next.depth());
    if next == given && (best != given || alike) {
        return true;
    }
    if next >= given && (best < given || alike) {
        return true;
    }
    next > best && best < given || alike && next == best
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;
    use crate::elements::audioconvert::mixing::{ChannelsReorder, ChannelsReorderMode};

    /// A field of caps, as caps are written; much of it makes no sense.
    fn field(name: &'static str, values: &'static [&'static str]) -> impl Strategy<Value = String> {
        let some = select(values).prop_map(move |value| format!(", {name}={value}"));
        prop_oneof![1 => Just(String::new()), 4 => some]
    }

    fn structure() -> impl Strategy<Value = String> {
        let format = field(
            "format",
            &[
                "S16LE",
                "F32LE",
                "{ U8, S24_32BE, F64LE }",
                "ENCODED",
                "nonsense",
                "(int)7",
                "{ }",
            ],
        );
        let layout = field(
            "layout",
            &[
                "interleaved",
                "non-interleaved",
                "{ interleaved, non-interleaved }",
                "odd",
            ],
        );
        let rate = field(
            "rate",
            &["48000", "[ 1, 2147483647 ]", "0", "-1", "(string)fast"],
        );
        let channels = field(
            "channels",
            &[
                "1",
                "2",
                "6",
                "64",
                "0",
                "[ 1, 8 ]",
                "{ 1, 3 }",
                "[ 1, 2147483647 ]",
                "-2",
                "(string)two",
            ],
        );
        let mask = field(
            "channel-mask",
            &[
                "(bitmask)0x0",
                "(bitmask)0x3",
                "(bitmask)0x3f",
                "(bitmask)0xffffffffffffffff",
                "{ (bitmask)0x4, (bitmask)0x3 }",
                "(int)3",
                "(string)x",
            ],
        );
        (format, layout, rate, channels, mask)
            .prop_map(|(f, l, r, c, m)| format!("audio/x-raw{f}{l}{r}{c}{m}"))
    }

    fn caps() -> impl Strategy<Value = gst::Caps> {
        let some = proptest::collection::vec(structure(), 1..4);
        some.prop_filter_map("no caps", |all| {
            gst::init().ok()?;
            all.join("; ").parse::<gst::Caps>().ok()
        })
    }

    fn mixing() -> impl Strategy<Value = Mixing> {
        let gains = |(rows, columns)| vec![vec![0.5; columns]; rows];
        let matrix = prop_oneof![
            2 => Just(None),
            1 => Just(Some(Vec::new())),
            1 => (1..4usize, 1..4usize).prop_map(move |size| Some(gains(size))),
        ];
        let mode = select(
            &[
                ChannelsReorderMode::None,
                ChannelsReorderMode::Unpositioned,
                ChannelsReorderMode::Force,
            ][..],
        );
        (matrix, mode).prop_map(|(matrix, reorder_mode)| Mixing {
            matrix,
            reorder: ChannelsReorder::Smpte,
            reorder_mode,
        })
    }

    proptest! {
        #[test]
        fn any_caps_lead_to_caps_of_the_template(
            caps in caps(), other in caps(), mixing in mixing(), source in any::<bool>(),
        ) {
            let direction = if source { PadDirection::Src } else { PadDirection::Sink };
            let mixes = Mixes::new(&mixing, None);
            let (caps, other) = (caps.intersect(&template()), other.intersect(&template()));
            let all = transform(&mixes, direction, &caps, None);
            prop_assert!(all.can_intersect(&template()) || all.is_empty(), "{all}");
            let met = transform(&mixes, direction, &caps, Some(&other));
            prop_assert!(met.is_subset(&other), "{met} of {other}");
            let _ = refusal(&mixes, direction, &caps, &other);
            let mut given = caps;
            if given.is_empty() || met.is_empty() {
                return Ok(());
            }
            given.fixate();
            let fixed = fixate(&mixes, direction, &given, met.clone());
            prop_assert!(fixed.is_fixed(), "{given} to {met}: {fixed}");
            prop_assert!(fixed.can_intersect(&template()), "{given} to {met}: {fixed}");
        }

        #[test]
        fn caps_that_no_pad_would_take_panic_neither(
            caps in caps(), other in caps(), mixing in mixing(), source in any::<bool>(),
        ) {
            let direction = if source { PadDirection::Src } else { PadDirection::Sink };
            let mixes = Mixes::new(&mixing, None);
            let _ = transform(&mixes, direction, &caps, Some(&other));
            let _ = refusal(&mixes, direction, &caps, &other);
        }
    }
}
