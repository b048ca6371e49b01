// SPDX-License-Identifier: MIT

//! The table of an element's properties, in which each has one entry: what it is called and may be, and
//! which setting it is. [`Live`] is how the streaming thread takes up what was set.

use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use gst::glib;
use gst::glib::translate::{FromGlib, IntoGlib};
use gst::glib::value::{FromValue, ToValue};
use gst::prelude::*;

use crate::ffi::enum_spec;
use crate::resilience::lock;

/// A field of the settings `S`; of the macro `field`.
pub struct Field<S, T> {
    pub get: fn(&S) -> &T,
    pub get_mut: fn(&mut S) -> &mut T,
}

/// `field!(Settings.a.b)`: the field `b` of the field `a` of `Settings`.
macro_rules! field {
    ($settings:ident.$($name:ident).+) => {
        $crate::elements::support::properties::Field {
            get: |settings: &$settings| &settings.$($name).+,
            get_mut: |settings: &mut $settings| &mut settings.$($name).+,
        }
    };
}
pub(crate) use field;

/// What a specification says of a property.
pub struct Words<'a, T> {
    name: &'a str,
    nick: &'a str,
    blurb: &'a str,
    default: T,
    range: Option<RangeInclusive<T>>,
    flags: glib::ParamFlags,
}

/// A type of properties whose default is all that there is to say of it.
pub trait Kind: Clone + ToValue + for<'a> FromValue<'a> + 'static {
    fn specify(words: Words<'_, Self>) -> glib::ParamSpec;
}

macro_rules! kinds {
    ($($kind:ty: $builder:ident;)*) => {$(
        impl Kind for $kind {
            fn specify(words: Words<'_, Self>) -> glib::ParamSpec {
                let mut spec = glib::$builder::builder(words.name)
                    .nick(words.nick)
                    .blurb(words.blurb)
                    .flags(words.flags)
                    .default_value(words.default);
                if let Some(range) = words.range {
                    spec = spec.minimum(*range.start()).maximum(*range.end());
                }
                spec.build()
            }
        }
    )*};
}
kinds! {
    i32: ParamSpecInt;
    u32: ParamSpecUInt;
    u64: ParamSpecUInt64;
    f64: ParamSpecDouble;
}

impl Kind for bool {
    fn specify(words: Words<'_, Self>) -> glib::ParamSpec {
        glib::ParamSpecBoolean::builder(words.name)
            .nick(words.nick)
            .blurb(words.blurb)
            .flags(words.flags)
            .default_value(words.default)
            .build()
    }
}

impl Kind for Option<String> {
    fn specify(words: Words<'_, Self>) -> glib::ParamSpec {
        glib::ParamSpecString::builder(words.name)
            .nick(words.nick)
            .blurb(words.blurb)
            .flags(words.flags)
            .default_value(words.default.as_deref())
            .build()
    }
}

type Get<S> = Box<dyn Fn(&S) -> glib::Value + Send + Sync>;
type Set<S> = Box<dyn Fn(&mut S, &glib::Value) -> Result<(), String> + Send + Sync>;

/// A property: an entry of a [`Table`].
pub struct Property<S> {
    spec: glib::ParamSpec,
    /// `None`: read only, and not of the settings.
    access: Option<(Get<S>, Set<S>)>,
}

impl<S> Property<S> {
    /// One that is not a field as it is. `set` says why it does not take a value.
    pub fn by(
        spec: glib::ParamSpec,
        get: impl Fn(&S) -> glib::Value + Send + Sync + 'static,
        set: impl Fn(&mut S, &glib::Value) -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        Self {
            spec,
            access: Some((Box::new(get), Box::new(set))),
        }
    }

    /// One that tells what the element does, which its implementation knows.
    pub fn told(spec: glib::ParamSpec) -> Self {
        Self { spec, access: None }
    }
}

/// A property that is a field of the settings, until it is known when it may change.
pub struct Draft<S: 'static, T: 'static> {
    name: &'static str,
    field: Field<S, T>,
    range: Option<RangeInclusive<T>>,
    specify: fn(Words<'_, T>) -> glib::ParamSpec,
}

/// A property that is a number, a switch or a text. Its default is that of the settings.
pub fn property<S: Default, T: Kind>(name: &'static str, field: Field<S, T>) -> Draft<S, T> {
    Draft {
        name,
        field,
        range: None,
        specify: T::specify,
    }
}

/// A property that is one of the values of an enumeration.
pub fn choice<S, T>(name: &'static str, field: Field<S, T>) -> Draft<S, T>
where
    S: Default,
    T: Copy + ToValue + for<'a> FromValue<'a> + StaticType + FromGlib<i32>,
    T: IntoGlib<GlibType = i32>,
{
    Draft {
        name,
        field,
        range: None,
        specify: |words| {
            glib::ParamSpecEnum::builder_with_default(words.name, words.default)
                .nick(words.nick)
                .blurb(words.blurb)
                .flags(words.flags)
                .build()
        },
    }
}

/// The values of an enumeration of GStreamer's that its bindings have no type for.
pub trait Foreign: Copy + Default + 'static {
    /// The type of the property.
    fn kind() -> glib::Type;
    /// Each value with its number there.
    const VALUES: &'static [(i32, Self)];
}

/// A property that is one of such values, which may be set at any time.
pub fn foreign_choice<S, T>(
    name: &'static str,
    field: Field<S, T>,
    nick: &str,
    blurb: &str,
) -> Property<S>
where
    S: Default + 'static,
    T: Foreign + PartialEq + Send + Sync,
{
    let number = |value: T| {
        let mut known = T::VALUES.iter();
        let found = known.find(|(_, known)| *known == value);
        found.map_or(0, |(number, _)| *number)
    };
    let Field { get, get_mut } = field;
    let default = number(*get(&S::default()));
    let flags = glib::ParamFlags::READWRITE | gst::PARAM_FLAG_MUTABLE_PLAYING;
    let spec = enum_spec(T::kind(), [name, nick, blurb], default, flags);
    Property::by(
        spec,
        move |settings| {
            let class = glib::EnumClass::with_type(T::kind());
            let number = number(*get(settings));
            // Never so: the specification has been made of that class.
            let plain = || number.to_value();
            class
                .and_then(|class| class.to_value(number))
                .unwrap_or_else(plain)
        },
        move |settings, value| {
            let number = glib::EnumValue::from_value(value).map(|(_, value)| value.value());
            let mut known = T::VALUES.iter();
            if let Some((_, value)) = known.find(|(known, _)| Some(*known) == number) {
                *get_mut(settings) = *value;
            }
            Ok(())
        },
    )
}

impl<S: Default + 'static, T> Draft<S, T>
where
    T: Clone + ToValue + for<'a> FromValue<'a> + Send + Sync + 'static,
{
    /// Least and greatest value; else those of the type.
    pub fn within(mut self, range: RangeInclusive<T>) -> Self {
        self.range = Some(range);
        self
    }

    /// May be set at any time, and takes effect at the next buffer.
    pub fn mutable_playing(self, nick: &str, blurb: &str) -> Property<S> {
        self.end(gst::PARAM_FLAG_MUTABLE_PLAYING, nick, blurb)
    }

    /// May be set in READY and below; what plays keeps what it was.
    pub fn mutable_ready(self, nick: &str, blurb: &str) -> Property<S> {
        self.end(gst::PARAM_FLAG_MUTABLE_READY, nick, blurb)
    }

    fn end(self, mutable: glib::ParamFlags, nick: &str, blurb: &str) -> Property<S> {
        let Field { get, get_mut } = self.field;
        let spec = (self.specify)(Words {
            name: self.name,
            nick,
            blurb,
            default: get(&S::default()).clone(),
            range: self.range,
            flags: glib::ParamFlags::READWRITE | mutable,
        });
        Property::by(
            spec,
            move |settings| get(settings).to_value(),
            move |settings, value| {
                // GObject has checked type and range.
                if let Ok(value) = value.get() {
                    *get_mut(settings) = value;
                }
                Ok(())
            },
        )
    }
}

/// All properties of an element, in the order of `gst-inspect-1.0`.
pub struct Table<S> {
    specs: Vec<glib::ParamSpec>,
    /// In the same order.
    access: Vec<Option<(Get<S>, Set<S>)>>,
}

impl<S> Table<S> {
    pub fn new(properties: Vec<Property<S>>) -> Self {
        let properties = properties.into_iter();
        let (specs, access) = properties.map(|p| (p.spec, p.access)).unzip();
        Self { specs, access }
    }

    /// The same with `more` at its end.
    pub fn and(mut self, more: Vec<Property<S>>) -> Self {
        let more = Self::new(more);
        self.specs.extend(more.specs);
        self.access.extend(more.access);
        self
    }

    /// For `ObjectImpl::properties`.
    pub fn specs(&self) -> &[glib::ParamSpec] {
        &self.specs
    }

    fn access(&self, name: &str) -> Option<&(Get<S>, Set<S>)> {
        let at = self.specs.iter().position(|spec| spec.name() == name)?;
        self.access[at].as_ref()
    }

    /// The value of a property; `None` where none of that name is in the settings.
    pub fn get(&self, settings: &S, name: &str) -> Option<glib::Value> {
        self.access(name).map(|(get, _)| get(settings))
    }

    /// Sets a property; false where none of that name is in the settings.
    ///
    /// # Errors
    /// Why it does not take the value.
    pub fn set(&self, settings: &mut S, name: &str, value: &glib::Value) -> Result<bool, String> {
        match self.access(name) {
            Some((_, set)) => set(settings, value).map(|()| true),
            None => Ok(false),
        }
    }
}

/// The settings of an element. Whoever sets a property swaps them for others; whoever works keeps those it
/// has until it takes up the new ones, so that all of a buffer is done by the same.
pub struct Live<S> {
    now: Mutex<Arc<S>>,
    /// That of `now`, so that a look whether there are others takes no lock.
    address: AtomicUsize,
}

impl<S: Default> Default for Live<S> {
    fn default() -> Self {
        let now = Arc::<S>::default();
        Self {
            address: AtomicUsize::new(address(&now)),
            now: Mutex::new(now),
        }
    }
}

fn address<S>(of: &Arc<S>) -> usize {
    Arc::as_ptr(of).addr()
}

impl<S> Live<S> {
    pub fn get(&self) -> Arc<S> {
        lock(&self.now).clone()
    }

    /// Whether `taken` is what [`get`](Self::get) gives now. Settings that are in use keep their address
    /// to themselves: no others can be taken for them.
    #[inline]
    pub fn is(&self, taken: &Arc<S>) -> bool {
        self.address.load(Ordering::Acquire) == address(taken)
    }

    /// Swaps the settings for a copy that `change` has changed, unless it says that it did not.
    pub fn change<E>(&self, change: impl FnOnce(&mut S) -> Result<bool, E>) -> Result<bool, E>
    where
        S: Clone,
    {
        let mut now = lock(&self.now);
        let mut settings = S::clone(&now);
        let changed = change(&mut settings)?;
        if changed {
            *now = Arc::new(settings);
            self.address.store(address(&now), Ordering::Release);
        }
        Ok(changed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Debug, PartialEq)]
    struct Settings {
        depth: u32,
        inner: Inner,
    }

    #[derive(Clone, Debug, Default, PartialEq)]
    struct Inner {
        name: Option<String>,
    }

    impl Default for Settings {
        fn default() -> Self {
            Self {
                depth: 20,
                inner: Inner::default(),
            }
        }
    }

    fn table() -> Table<Settings> {
        Table::new(vec![
            property("depth", field!(Settings.depth))
                .within(1..=32)
                .mutable_playing("Depth", "Bits"),
            property("name", field!(Settings.inner.name)).mutable_ready("Name", "Any"),
        ])
        .and(vec![Property::told(
            glib::ParamSpecBoolean::builder("on").read_only().build(),
        )])
    }

    #[test]
    fn an_entry_is_specification_and_access() {
        gst::init().unwrap();
        let table = table();
        let specs = table.specs();
        let names: Vec<_> = specs.iter().map(|spec| spec.name()).collect();
        assert_eq!(names, ["depth", "name", "on"]);
        let depth = specs[0].downcast_ref::<glib::ParamSpecUInt>().unwrap();
        let range = (depth.minimum(), depth.default_value(), depth.maximum());
        assert_eq!(range, (1, 20, 32));
        let both = glib::ParamFlags::READWRITE;
        assert_eq!(depth.flags(), both | gst::PARAM_FLAG_MUTABLE_PLAYING);
        assert_eq!(specs[1].flags(), both | gst::PARAM_FLAG_MUTABLE_READY);

        let mut settings = Settings::default();
        let set = |settings: &mut Settings, name: &str, value: glib::Value| {
            table.set(settings, name, &value)
        };
        assert_eq!(set(&mut settings, "depth", 7u32.to_value()), Ok(true));
        assert_eq!(set(&mut settings, "name", "n".to_value()), Ok(true));
        assert_eq!(set(&mut settings, "on", true.to_value()), Ok(false));
        assert_eq!(set(&mut settings, "off", true.to_value()), Ok(false));
        let name = Some("n".to_string());
        let inner = Inner { name };
        assert_eq!(settings, Settings { depth: 7, inner });
        let got = table.get(&settings, "depth").unwrap().get::<u32>();
        assert_eq!(got, Ok(7));
        assert!(table.get(&settings, "on").is_none());
    }

    #[test]
    fn who_works_sees_that_settings_were_swapped() {
        let live = Live::<Settings>::default();
        let taken = live.get();
        assert!(live.is(&taken));
        let set = |depth, says| {
            live.change(|settings| {
                settings.depth = depth;
                says
            })
        };
        assert_eq!(set(1, Ok(false)), Ok(false));
        assert_eq!(set(2, Err("no")), Err("no"));
        assert!(live.is(&taken));
        assert_eq!(set(3, Ok(true)), Ok(true));
        assert!(!live.is(&taken));
        assert_eq!((taken.depth, live.get().depth), (20, 3));
        assert!(live.is(&live.get()));
    }
}
