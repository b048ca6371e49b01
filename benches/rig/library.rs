// SPDX-License-Identifier: MIT

//! Shared libraries that a bench looks for when it runs.

use std::ffi::{CStr, c_void};

/// A library, which stays loaded.
pub struct Library {
    handle: *mut c_void,
    name: String,
}

impl Library {
    /// The first of `names` that this machine has, or a sentence that names `package`.
    pub fn open(names: &[&CStr], package: &str) -> Result<Self, String> {
        for name in names {
            // SAFETY: a string that ends with a zero; a library's own initialisation is trusted.
            let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW) };
            if !handle.is_null() {
                let name = name.to_string_lossy().into_owned();
                return Ok(Self { handle, name });
            }
        }
        let first = names
            .first()
            .map_or_else(Default::default, |n| n.to_string_lossy());
        Err(format!("{first} is missing (apt install {package})"))
    }

    /// A function of the library, or of one that it needs.
    ///
    /// # Safety
    /// `F` is the type of a pointer to that function.
    pub unsafe fn function<F: Copy>(&self, name: &CStr) -> Result<F, String> {
        assert_eq!(size_of::<F>(), size_of::<*mut c_void>());
        // SAFETY: the library is loaded.
        let symbol = unsafe { libc::dlsym(self.handle, name.as_ptr()) };
        if symbol.is_null() {
            let name = name.to_string_lossy();
            return Err(format!("{} has no {name}: another version?", self.name));
        }
        // SAFETY: a pointer of the same size, of the type that the caller vouches for.
        Ok(unsafe { std::mem::transmute_copy(&symbol) })
    }
}
