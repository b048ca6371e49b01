// SPDX-License-Identifier: MIT

//! Memory that the plugin and a worker share.

use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::num::NonZeroUsize;
use std::os::fd::{AsRawFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::AtomicU32;

use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};

/// A file in memory that can only grow: reading beyond the end of one that the worker made shorter
/// would be a SIGBUS.
pub fn memfd(name: &CStr) -> io::Result<File> {
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    let fd = above_standard(memfd_create(name, flags)?)?;
    fcntl(&fd, FcntlArg::F_ADD_SEALS(SealFlag::F_SEAL_SHRINK))?;
    Ok(fd.into())
}

/// `fd` under a number that is not of a standard stream, which it gets where those are closed: it
/// would be written to as one.
pub fn above_standard(fd: OwnedFd) -> io::Result<OwnedFd> {
    if fd.as_raw_fd() > libc::STDERR_FILENO {
        return Ok(fd);
    }
    // The standard library keeps these numbers free of what it duplicates.
    fd.try_clone()
}

/// The first bytes of a file, which another process may write to at any time: they are copied in and
/// out.
pub struct Mapping {
    data: NonNull<u8>,
    len: usize,
}

// SAFETY: the mapping belongs to this value alone, within this process.
unsafe impl Send for Mapping {}

impl Mapping {
    /// The first `len` bytes of `file`, which has as many and cannot lose them.
    pub fn new(file: &File, len: usize) -> io::Result<Self> {
        let size = NonZeroUsize::new(len).ok_or(io::ErrorKind::InvalidInput)?;
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a new mapping that overlaps nothing.
        let data = unsafe { mmap(None, size, access, MapFlags::MAP_SHARED, file, 0)? };
        Ok(Self {
            data: data.cast(),
            len,
        })
    }

    pub fn len(&self) -> usize {
        self.len
    }

    /// Where `len` bytes from `at` on begin; `None` where it has not as many.
    fn at(&self, at: usize, len: usize) -> Option<NonNull<u8>> {
        let end = at.checked_add(len)?;
        // SAFETY: within the mapping.
        (end <= self.len).then(|| unsafe { self.data.add(at) })
    }

    /// Copies `from` to `at`; false where that is out of bounds.
    pub fn write(&self, at: usize, from: &[u8]) -> bool {
        let Some(to) = self.at(at, from.len()) else {
            return false;
        };
        // SAFETY: mapped, as long as that, and no Rust memory.
        unsafe { to.copy_from_nonoverlapping(NonNull::from(from).cast(), from.len()) };
        true
    }

    /// Copies what is at `at`; false where that is out of bounds.
    pub fn read(&self, at: usize, to: &mut [u8]) -> bool {
        let Some(from) = self.at(at, to.len()) else {
            return false;
        };
        let len = to.len();
        // SAFETY: mapped, as long as that, and no Rust memory.
        unsafe { from.copy_to_nonoverlapping(NonNull::from(to).cast(), len) };
        true
    }

    /// The word at `at`, which both processes read and write as a whole.
    ///
    /// # Panics
    /// If it is out of bounds or not aligned.
    pub fn word(&self, at: usize) -> &AtomicU32 {
        let word = self.at(at, size_of::<AtomicU32>());
        let word = word.filter(|_| at.is_multiple_of(align_of::<AtomicU32>()));
        // SAFETY: mapped as long as `self` lives, from the start of a page on; used as an atomic alone.
        unsafe { AtomicU32::from_ptr(word.expect("a word of the mapping").as_ptr().cast()) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping made by `new`, which nothing refers to any more.
        let _ = unsafe { munmap(self.data.cast(), self.len) };
    }
}

/// Audio that both processes see.
pub struct Shared {
    pub file: File,
    mapping: Option<Mapping>,
}

impl Shared {
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            file: memfd(c"rustaudio-worker")?,
            mapping: None,
        })
    }

    /// Bytes that are mapped.
    pub fn len(&self) -> usize {
        self.mapping.as_ref().map_or(0, Mapping::len)
    }

    pub fn file_len(&self) -> io::Result<usize> {
        Ok(usize::try_from(self.file.metadata()?.len()).unwrap_or(usize::MAX))
    }

    /// Makes room for `len` bytes.
    fn grow(&mut self, len: usize) -> io::Result<()> {
        if len <= self.len() {
            return Ok(());
        }
        let have = self.file_len()?;
        let want = len.max(1 << 16).next_power_of_two().max(have);
        if want > have {
            self.file.set_len(want as u64)?;
        }
        self.mapping = Some(Mapping::new(&self.file, want)?);
        Ok(())
    }

    /// Maps as much as `end` where the file is that long, whatever the worker says.
    fn follow(&mut self, end: usize) -> bool {
        end <= self.file_len().unwrap_or(0) && self.grow(end).is_ok()
    }

    /// Copies `from` to the start; the worker looks at it only when told to.
    pub fn write(&mut self, from: &[u8]) -> io::Result<()> {
        self.grow(from.len())?;
        if let Some(mapping) = &self.mapping {
            mapping.write(0, from);
        }
        Ok(())
    }

    /// Copies what is at `offset`; false where that is out of bounds.
    pub fn read(&mut self, offset: usize, to: &mut [u8]) -> bool {
        match offset.checked_add(to.len()) {
            Some(end) if end <= self.len() || self.follow(end) => {
                let mapping = self.mapping.as_ref();
                to.is_empty() || mapping.is_some_and(|mapping| mapping.read(offset, to))
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_beyond_a_mapping_is_touched() {
        let file = memfd(c"test").unwrap();
        file.set_len(8).unwrap();
        let mapping = Mapping::new(&file, 8).unwrap();
        assert!(mapping.write(0, &[1; 8]) && mapping.write(5, &[2, 3, 4]));
        assert!(!mapping.write(6, &[9; 3]) && !mapping.write(usize::MAX, &[9]));
        let mut all = [0; 8];
        assert!(mapping.read(0, &mut all));
        assert_eq!(all, [1, 1, 1, 1, 1, 2, 3, 4]);
        assert!(!mapping.read(1, &mut all) && !mapping.read(usize::MAX, &mut all));
        let word = mapping.word(4).load(std::sync::atomic::Ordering::SeqCst);
        assert_eq!(word, u32::from_ne_bytes([1, 2, 3, 4]));
        for at in [2, 6, 8] {
            assert!(
                std::panic::catch_unwind(|| mapping.word(at)).is_err(),
                "{at}"
            );
        }
        assert!(Mapping::new(&file, 0).is_err());
    }

    #[test]
    fn a_file_that_is_shared_grows_and_never_shrinks() {
        let mut shared = Shared::new().unwrap();
        assert!(shared.read(0, &mut []) && !shared.read(0, &mut [0]));
        shared.write(&[7; 100_000]).unwrap();
        assert_eq!(shared.len(), 1 << 17);
        let mut last = [0; 2];
        assert!(shared.read(99_999, &mut last));
        assert_eq!(last, [7, 0]);
        assert!(shared.file.set_len(1).is_err(), "it is sealed");
        // As the worker does.
        shared.file.set_len(1 << 18).unwrap();
        assert!(shared.read((1 << 18) - 2, &mut last) && !shared.read((1 << 18) - 1, &mut last));
    }
}
