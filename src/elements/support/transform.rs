// SPDX-License-Identifier: MIT

//! A shorter way through `BaseTransform` for elements that make one output of one input.
//!
//! gstreamer-rs sets every virtual function of the class, overridden or not, and looks at the
//! element's type and its panic flag in each. The two that a buffer passes without need, and the
//! recursive stream lock that `take_queued_buffer` takes for a thread that has it already, are a
//! fifth of what a buffer costs an element that does little. The way to the flag leads through a map and
//! a box, each of which has to come from memory where other streams had their turn meanwhile.
#![allow(unsafe_code)]

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

use gst::glib::translate::*;
use gst::prelude::*;
use gst::subclass::prelude::*;
use gst::{ffi, glib};
use gst_base::ffi::{GstBaseTransform, GstBaseTransformClass};
use gst_base::subclass::prelude::*;

/// Output buffers begin at a multiple of this many bytes, so that no vector store meets two cache
/// lines.
const ALIGN: usize = 64;

/// An element that takes the way.
pub trait Transform: BaseTransformImpl
where
    <Self as ObjectSubclass>::Type: IsA<gst_base::BaseTransform>,
{
    /// The output for `input`; `None` where nothing of it is left. Called by the streaming thread.
    fn transform_buffer(&self, input: gst::Buffer) -> Result<Option<gst::Buffer>, gst::FlowError>;

    /// Where its panic flag is: a field, so that it is found once; one that lies elsewhere is asked for each time.
    fn panic_flag(&self) -> &PanicFlag;
}

/// Where gstreamer-rs keeps that an element has panicked, found once. A field of the element.
#[derive(Debug, Default)]
pub struct PanicFlag(AtomicPtr<AtomicBool>);

impl PanicFlag {
    /// That of `imp`.
    #[inline]
    fn of<'a, T: ElementImpl>(&'a self, imp: &'a T) -> &'a AtomicBool
    where
        T::Type: IsA<gst::Element>,
    {
        let found = self.0.load(Ordering::Relaxed);
        // SAFETY: it was found below, where it is kept only within the element that it is of, which lives as
        // long as it.
        unsafe { found.as_ref() }.unwrap_or_else(|| self.find(imp))
    }

    #[cold]
    fn find<'a, T: ElementImpl>(&'a self, imp: &'a T) -> &'a AtomicBool
    where
        T::Type: IsA<gst::Element>,
    {
        let flag = imp.panicked();
        let (this, start) = (
            std::ptr::from_ref(self).addr(),
            std::ptr::from_ref(imp).addr(),
        );
        if (start..start + size_of::<T>()).contains(&this) {
            let kept = std::ptr::from_ref(flag).cast_mut();
            self.0.store(kept, Ordering::Relaxed);
        }
        flag
    }
}

/// Makes buffers go to [`Transform::transform_buffer`]; from `class_init`. The element then
/// overrides none of `submit_input_buffer`, `before_transform` and `generate_output`.
pub fn install<T>(class: &mut T::Class)
where
    T: Transform<ParentType = gst_base::BaseTransform>,
    T::Type: IsA<gst_base::BaseTransform>,
{
    let class = std::ptr::from_mut(class).cast::<GstBaseTransformClass>();
    // SAFETY: the class structure of a subclass of `BaseTransform` begins with that of
    // `BaseTransform`; nobody else sees it before `class_init` is over; a class keeps its parent
    // class alive.
    unsafe {
        let parent = glib::gobject_ffi::g_type_class_peek_parent(class.cast());
        let parent = parent.cast::<GstBaseTransformClass>();
        (*class).submit_input_buffer = (*parent).submit_input_buffer;
        (*class).before_transform = (*parent).before_transform;
        (*class).generate_output = Some(generate_output::<T>);
    }
}

/// `GstBaseTransformClass::generate_output`, which the base class calls with the stream lock held,
/// `ptr` an instance of `T` and `out` writable.
unsafe extern "C" fn generate_output<T>(
    ptr: *mut GstBaseTransform,
    out: *mut *mut ffi::GstBuffer,
) -> ffi::GstFlowReturn
where
    T: Transform<ParentType = gst_base::BaseTransform>,
    T::Type: IsA<gst_base::BaseTransform>,
{
    // SAFETY: as above. Under the stream lock `queued_buf` is this thread's to take.
    unsafe {
        *out = std::ptr::null_mut();
        let queued = std::mem::replace(&mut (*ptr).queued_buf, std::ptr::null_mut());
        if queued.is_null() {
            return ffi::GST_FLOW_OK;
        }
        let input: gst::Buffer = from_glib_full(queued);
        let imp = (*ptr.cast::<T::Instance>()).imp();
        match guarded(imp, imp.panic_flag(), || imp.transform_buffer(input)) {
            Ok(buffer) => {
                *out = buffer.map_or(std::ptr::null_mut(), IntoGlibPtr::into_glib_ptr);
                ffi::GST_FLOW_OK
            }
            Err(flow) => gst::FlowReturn::from(flow).into_glib(),
        }
    }
}

/// What `job` gives; an error where it panics or `imp` has panicked before, whose flag this is.
#[inline]
pub fn guarded<T: ElementImpl, R>(
    imp: &T,
    flag: &PanicFlag,
    job: impl FnOnce() -> Result<R, gst::FlowError>,
) -> Result<R, gst::FlowError>
where
    T::Type: IsA<gst::Element>,
{
    if flag.of(imp).load(Ordering::Relaxed) {
        return Err(refuse(imp, || {}));
    }
    match catch_unwind(AssertUnwindSafe(job)) {
        Ok(given) => given,
        Err(panic) => Err(refuse(imp, || resume_unwind(panic))),
    }
}

/// Posts that `imp` has panicked, or what `panic` goes on to panic with, as gstreamer-rs does, and sets its flag.
#[cold]
fn refuse<T: ElementImpl>(imp: &T, panic: impl FnOnce()) -> gst::FlowError
where
    T::Type: IsA<gst::Element>,
{
    gst::panic_to_error!(imp, gst::FlowError::Error, {
        panic();
        gst::FlowError::Error
    })
}

/// A buffer of `size` bytes, aligned for vectors.
///
/// # Errors
/// The allocator gave none. (The usual one aborts the process first.)
pub fn aligned_buffer(size: usize) -> Result<gst::Buffer, glib::BoolError> {
    // SAFETY: numbers and reserved pointers, of which none may mean anything.
    let mut params: ffi::GstAllocationParams = unsafe { std::mem::zeroed() };
    params.align = ALIGN - 1;
    // SAFETY: no allocator is the default one; the parameters are only read.
    let buffer = unsafe { ffi::gst_buffer_new_allocate(std::ptr::null_mut(), size, &mut params) };
    // SAFETY: the caller owns the new buffer, or it is null.
    unsafe { Option::<gst::Buffer>::from_glib_full(buffer) }
        .ok_or_else(|| glib::bool_error!("no memory for a buffer of {size} bytes"))
}

/// Calls `f` with the bytes of `buffer`. A single memory, which nearly every buffer has, is mapped as
/// such: a third of the locked instructions of mapping the buffer.
///
/// # Errors
/// The memory cannot be read, or what `f` says.
pub fn with_bytes<R, E: From<glib::BoolError>>(
    buffer: &gst::BufferRef,
    f: impl FnOnce(&[u8]) -> Result<R, E>,
) -> Result<R, E> {
    if buffer.n_memory() == 1 {
        f(&buffer.peek_memory(0).map_readable()?)
    } else {
        f(&buffer.map_readable()?)
    }
}

/// As [`with_bytes`], to write to.
///
/// # Errors
/// The memory cannot be written to, or what `f` says.
pub fn with_bytes_mut<R, E: From<glib::BoolError>>(
    buffer: &mut gst::BufferRef,
    f: impl FnOnce(&mut [u8]) -> Result<R, E>,
) -> Result<R, E> {
    if buffer.n_memory() == 1
        && let Ok(memory) = buffer.peek_memory_mut(0)
    {
        return f(&mut memory.map_writable()?);
    }
    f(&mut buffer.map_writable()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;

    /// Passes buffers on, and panics at those marked as corrupted and at gaps.
    #[derive(Default)]
    pub struct Touchy {
        panic_flag: PanicFlag,
        seen: AtomicUsize,
    }

    #[glib::object_subclass]
    impl ObjectSubclass for Touchy {
        const NAME: &'static str = "GstRustTouchy";
        type Type = Panics;
        type ParentType = gst_base::BaseTransform;

        fn class_init(class: &mut Self::Class) {
            install::<Self>(class);
        }
    }

    glib::wrapper! {
        pub struct Panics(ObjectSubclass<Touchy>)
            @extends gst_base::BaseTransform, gst::Element, gst::Object;
    }

    impl ObjectImpl for Touchy {}
    impl GstObjectImpl for Touchy {}

    impl ElementImpl for Touchy {
        fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
            static METADATA: std::sync::LazyLock<gst::subclass::ElementMetadata> =
                std::sync::LazyLock::new(|| {
                    gst::subclass::ElementMetadata::new("Touchy", "Filter", "Panics", "None")
                });
            Some(&METADATA)
        }

        fn pad_templates() -> &'static [gst::PadTemplate] {
            static TEMPLATES: std::sync::LazyLock<Vec<gst::PadTemplate>> =
                std::sync::LazyLock::new(|| {
                    crate::elements::support::pads::templates(&gst::Caps::new_any())
                });
            &TEMPLATES
        }
    }

    impl BaseTransformImpl for Touchy {
        const MODE: gst_base::subclass::BaseTransformMode =
            gst_base::subclass::BaseTransformMode::NeverInPlace;
        const PASSTHROUGH_ON_SAME_CAPS: bool = false;
        const TRANSFORM_IP_ON_PASSTHROUGH: bool = false;

        fn sink_event(&self, event: gst::Event) -> bool {
            assert!(event.type_() != gst::EventType::Gap, "a gap");
            self.parent_sink_event(event)
        }
    }

    impl Transform for Touchy {
        fn panic_flag(&self) -> &PanicFlag {
            &self.panic_flag
        }

        fn transform_buffer(
            &self,
            input: gst::Buffer,
        ) -> Result<Option<gst::Buffer>, gst::FlowError> {
            self.seen.fetch_add(1, Ordering::Relaxed);
            let corrupted = input.flags().contains(gst::BufferFlags::CORRUPTED);
            assert!(!corrupted, "a corrupted buffer");
            Ok(Some(input))
        }
    }

    #[test]
    fn an_element_that_panicked_says_so_and_takes_no_more_buffers() {
        gst::init().unwrap();
        let buffer = |flags| {
            let mut buffer = gst::Buffer::with_size(4).unwrap();
            buffer.get_mut().unwrap().set_flags(flags);
            buffer
        };
        let whole = || buffer(gst::BufferFlags::empty());
        let gap = |harness: &mut gst_check::Harness| {
            harness.push_event(gst::event::Gap::new(gst::ClockTime::ZERO, None));
            "a gap"
        };
        let corrupted = |harness: &mut gst_check::Harness| {
            let pushed = harness.push(buffer(gst::BufferFlags::CORRUPTED));
            assert_eq!(pushed, Err(gst::FlowError::Error));
            "a corrupted buffer"
        };
        let breaks: [&dyn Fn(&mut gst_check::Harness) -> &'static str; 2] = [&corrupted, &gap];
        for (i, breaks) in breaks.into_iter().enumerate() {
            let element: Panics = glib::Object::new();
            let bus = gst::Bus::new();
            element.set_bus(Some(&bus));
            let mut harness = gst_check::Harness::with_element(&element, Some("sink"), Some("src"));
            harness.set_src_caps_str("audio/x-raw");
            for _ in 0..3 {
                assert_eq!(harness.push(whole()), Ok(gst::FlowSuccess::Ok));
            }
            let why = breaks(&mut harness);
            let seen = element.imp().seen.load(Ordering::Relaxed);
            assert_eq!((seen, harness.buffers_received()), (4 - i, 3));
            assert_eq!(harness.push(whole()), Err(gst::FlowError::Error));
            assert_eq!(element.imp().seen.load(Ordering::Relaxed), seen, "{why}");
            let mut errors = Vec::new();
            while let Some(message) = bus.pop_filtered(&[gst::MessageType::Error]) {
                let gst::MessageView::Error(error) = message.view() else {
                    unreachable!()
                };
                errors.push(error.error().to_string());
            }
            // Once for the panic, once for the buffer after it.
            assert_eq!(errors.len(), 2, "{errors:?}");
            assert!(errors[0].contains(why), "{errors:?}");
        }
    }

    #[test]
    fn buffers_are_aligned_and_as_large_as_asked_for() {
        gst::init().unwrap();
        // Kept, so that each lies elsewhere.
        let buffers: Vec<_> = [0, 1, 3, 64, 1920, 1_000_003]
            .map(|size| (size, aligned_buffer(size).unwrap()))
            .into();
        for (size, buffer) in &buffers {
            let map = buffer.map_readable().unwrap();
            assert_eq!(map.len(), *size);
            assert!(
                *size == 0 || (map.as_ptr() as usize).is_multiple_of(ALIGN),
                "{size}"
            );
        }
    }
}
