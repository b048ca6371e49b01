// SPDX-License-Identifier: MIT

//! A shorter way through `BaseTransform` for elements that make one output of one input.
//!
//! gstreamer-rs sets every virtual function of the class, overridden or not, and looks at the
//! element's type and its panic flag in each. The two that a buffer passes without need, and the
//! recursive stream lock that `take_queued_buffer` takes for a thread that has it already, are a
//! fifth of what a buffer costs an element that does little.
#![allow(unsafe_code)]

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
        gst::panic_to_error!(imp, gst::FlowReturn::Error, {
            match imp.transform_buffer(input) {
                Ok(buffer) => {
                    *out = buffer.map_or(std::ptr::null_mut(), IntoGlibPtr::into_glib_ptr);
                    gst::FlowReturn::Ok
                }
                Err(flow) => flow.into(),
            }
        })
        .into_glib()
    }
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
