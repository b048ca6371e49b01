//! Caps: what can be converted to what, and what is preferred. As `audioconvert` does it.

use super::settings::{ChannelsReorderMode, Settings};

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
    settings: &Settings,
    direction: gst::PadDirection,
    caps: &gst::Caps,
    filter: Option<&gst::Caps>,
) -> gst::Caps {
    // A matrix or an order of channels says what unknown positions do not.
    let any_channels = settings.mix_matrix.is_some()
        || direction == gst::PadDirection::Sink
            && settings.reorder_mode != ChannelsReorderMode::None;
    let channels = settings.mix_matrix.as_ref().and_then(|rows| {
        let columns = rows.first()?.len();
        i32::try_from(match direction {
            gst::PadDirection::Src => columns,
            _ => rows.len(),
        })
        .ok()
    });
    let mut other = caps.clone();
    let mut refused = gst::Caps::new_empty();
    for s in other.make_mut().iter_mut() {
        s.remove_fields(["format", "layout"]);
        // Channels of unknown positions can only stay as many as they are.
        let undefined = s
            .get::<gst::Bitmask>("channel-mask")
            .is_ok_and(|mask| mask.0 == 0)
            && s.get::<i32>("channels") != Ok(1);
        if undefined && !any_channels {
            let mut s = s.to_owned();
            s.remove_fields(["channel-mask", "channels"]);
            refused.make_mut().append_structure(s);
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
    // Other numbers of channels come last: nobody gets them who could have had the same, and who
    // insists is told the reason in `set_caps` rather than that some caps do not meet.
    let mut result = meet(other);
    result.merge(meet(refused));
    result
}

/// Chooses among `other` what is closest to `caps`: no conversion at all if possible, else the same
/// channels, else the nearest; the same format, else one that loses nothing.
pub fn fixate(settings: &Settings, caps: &gst::Caps, other: gst::Caps) -> gst::Caps {
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
        fixate_channels(settings, from, to);
        fixate_format(from, to);
    }
    result.fixate();
    result
}

fn mask(s: &gst::StructureRef, channels: i32) -> Option<u64> {
    match s.get::<gst::Bitmask>("channel-mask") {
        Ok(mask) => Some(mask.0),
        // Two channels are left and right unless something else is said.
        Err(_) => (channels == 2).then_some(0x3),
    }
}

fn fixate_channels(settings: &Settings, from: &gst::StructureRef, to: &mut gst::StructureRef) {
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
        (Some(0), _) => return,
        (Some(wished), _) if wished.count_ones() >= count => {
            to.set("channel-mask", gst::Bitmask(lowest(wished, count)));
            return;
        }
        _ if settings.mix_matrix.is_some() => {}
        _ => {
            tracing::debug!(target: "rustaudioconvert", ins, outs, "no usable channel mask");
        }
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
