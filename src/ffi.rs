// SPDX-License-Identifier: MIT

//! What messages and properties need of GStreamer's C API that its bindings do not have.
#![allow(unsafe_code)]

use std::ffi::c_void;

use gst::ffi;
use gst::glib::gobject_ffi;
use gst::glib::translate::*;
use gst::glib::{EnumClass, ParamFlags, ParamSpec, Type, Value};

/// Makes `value` hold `v`. One that holds a `u64` is written in place, which takes a quarter of the
/// instructions of a new value; other ones are replaced.
pub fn set_u64(value: &mut Value, v: u64) {
    if value.type_() == Type::U64 {
        // SAFETY: an initialised value of this type.
        unsafe { gobject_ffi::g_value_set_uint64(value.to_glib_none_mut().0, v) };
    } else {
        *value = v.into();
    }
}

/// Drops `mark` when `message` is freed, in whatever thread that happens. Copies of the message do not
/// take part.
pub fn drop_with_message<T: Send + Sync + 'static>(message: &gst::Message, mark: T) {
    unsafe extern "C" fn freed<T>(mark: *mut c_void, _: *mut ffi::GstMiniObject) {
        // SAFETY: the box below, which GStreamer gives back once.
        drop(unsafe { Box::from_raw(mark.cast::<T>()) });
    }
    let mark = Box::into_raw(Box::new(mark));
    let message: *mut ffi::GstMessage = message.to_glib_none().0;
    // SAFETY: a message is a mini object and alive here; `freed` gets the box and nothing else does.
    unsafe { ffi::gst_mini_object_weak_ref(message.cast(), Some(freed::<T>), mark.cast()) };
}

/// The type `GstAudioResamplerFilterMode`.
pub fn resampler_filter_mode() -> Type {
    // SAFETY: takes nothing; a type that was registered stays.
    unsafe { from_glib(gst_audio::ffi::gst_audio_resampler_filter_mode_get_type()) }
}

/// The type `GstAudioResamplerFilterInterpolation`.
pub fn resampler_filter_interpolation() -> Type {
    // SAFETY: as above.
    unsafe { from_glib(gst_audio::ffi::gst_audio_resampler_filter_interpolation_get_type()) }
}

/// The specification of a property that is one of the values of the enumeration `kind`.
///
/// # Panics
/// `kind` is none, or `default` no value of it.
pub fn enum_spec(
    kind: Type,
    [name, nick, blurb]: [&str; 3],
    default: i32,
    flags: ParamFlags,
) -> ParamSpec {
    let class = EnumClass::with_type(kind);
    let known = class.is_some_and(|class| class.value(default).is_some());
    assert!(known, "{name}: {kind} has no {default}");
    // SAFETY: strings that live through the call, which copies them; the type is an enumeration, and
    // `default` a value of it.
    unsafe {
        from_glib_none(gobject_ffi::g_param_spec_enum(
            name.to_glib_none().0,
            nick.to_glib_none().0,
            blurb.to_glib_none().0,
            kind.into_glib(),
            default,
            flags.into_glib(),
        ))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use gst::glib::prelude::*;

    #[test]
    fn a_mark_lives_as_long_as_the_message() {
        gst::init().unwrap();
        let mark = Arc::new(());
        let message = gst::message::Element::new(gst::Structure::new_empty("any"));
        drop_with_message(&message, mark.clone());
        let again = message.clone();
        drop(message);
        assert_eq!(Arc::strong_count(&mark), 2);
        let copy = again.copy();
        drop(again);
        assert_eq!(Arc::strong_count(&mark), 1, "a copy is another message");
        drop(copy);
    }

    #[test]
    fn whatever_was_there_becomes_the_number() {
        for mut value in [7u64.to_value(), "text".to_value(), 1.5f64.to_value()] {
            set_u64(&mut value, u64::MAX - 1);
            assert_eq!(value.get::<u64>(), Ok(u64::MAX - 1));
        }
    }
}
