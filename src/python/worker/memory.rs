// SPDX-License-Identifier: MIT

//! Memory that the plugin and a worker share.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// A file in memory that can only grow: reading beyond the end of one that the worker made shorter
/// would be a SIGBUS.
pub fn memfd(name: &CStr) -> io::Result<OwnedFd> {
    // SAFETY: a new descriptor, owned by nobody else.
    unsafe {
        let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
        let fd = libc::memfd_create(name.as_ptr(), flags);
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        let fd = above_standard(OwnedFd::from_raw_fd(fd))?;
        if libc::fcntl(fd.as_raw_fd(), libc::F_ADD_SEALS, libc::F_SEAL_SHRINK) < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(fd)
    }
}

/// `fd` under a number that is not of a standard stream, which it gets where those are closed: it
/// would be written to as one.
pub fn above_standard(fd: OwnedFd) -> io::Result<OwnedFd> {
    if fd.as_raw_fd() > libc::STDERR_FILENO {
        return Ok(fd);
    }
    // SAFETY: an open descriptor; the new one belongs to us on success.
    unsafe {
        let first = libc::STDERR_FILENO + 1;
        match libc::fcntl(fd.as_raw_fd(), libc::F_DUPFD_CLOEXEC, first) {
            -1 => Err(io::Error::last_os_error()),
            higher => Ok(OwnedFd::from_raw_fd(higher)),
        }
    }
}

/// Maps the first `len` bytes of `fd`, which has as many.
pub fn map(fd: &OwnedFd, len: usize) -> io::Result<*mut u8> {
    // SAFETY: an open descriptor; a new mapping that overlaps nothing.
    let data = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            len,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_SHARED,
            fd.as_raw_fd(),
            0,
        )
    };
    if data == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    Ok(data.cast())
}

/// Makes the file at least `len` bytes long.
pub fn extend(fd: &OwnedFd, len: usize) -> io::Result<()> {
    let size = libc::off_t::try_from(len).map_err(|_| io::ErrorKind::OutOfMemory)?;
    // SAFETY: an open descriptor.
    if unsafe { libc::ftruncate(fd.as_raw_fd(), size) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Audio that both processes see.
pub struct Shared {
    pub fd: OwnedFd,
    data: *mut u8,
    pub len: usize,
}

// SAFETY: the mapping belongs to this value alone, within this process.
unsafe impl Send for Shared {}

impl Shared {
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            fd: memfd(c"rustaudio-worker")?,
            data: std::ptr::null_mut(),
            len: 0,
        })
    }

    pub fn file_len(&self) -> io::Result<usize> {
        // SAFETY: plain data, filled by the call.
        let mut stat: libc::stat = unsafe { std::mem::zeroed() };
        // SAFETY: an open descriptor and a valid struct.
        if unsafe { libc::fstat(self.fd.as_raw_fd(), &mut stat) } < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(usize::try_from(stat.st_size).unwrap_or(0))
    }

    /// Makes room for `len` bytes.
    fn grow(&mut self, len: usize) -> io::Result<()> {
        if len <= self.len {
            return Ok(());
        }
        let have = self.file_len()?;
        let want = len.max(1 << 16).next_power_of_two().max(have);
        if want > have {
            extend(&self.fd, want)?;
        }
        let data = map(&self.fd, want)?;
        self.unmap();
        (self.data, self.len) = (data, want);
        Ok(())
    }

    /// Maps as much as `end` where the file is that long, whatever the worker says.
    fn follow(&mut self, end: usize) -> bool {
        end <= self.file_len().unwrap_or(0) && self.grow(end).is_ok()
    }

    fn unmap(&mut self) {
        if !self.data.is_null() {
            // SAFETY: the mapping made by `grow`; no slice of it outlives a call.
            unsafe { libc::munmap(self.data.cast(), self.len) };
            self.data = std::ptr::null_mut();
        }
    }

    /// Copies `from` to the start.
    pub fn write(&mut self, from: &[u8]) -> io::Result<()> {
        self.grow(from.len())?;
        // SAFETY: mapped and large enough; the worker looks at it only when told to.
        unsafe { std::ptr::copy_nonoverlapping(from.as_ptr(), self.data, from.len()) };
        Ok(())
    }

    /// Copies what is at `offset`; false where that is out of bounds.
    pub fn read(&mut self, offset: usize, to: &mut [u8]) -> bool {
        match offset.checked_add(to.len()) {
            Some(end) if end <= self.len || self.follow(end) => {
                // SAFETY: within the mapping, whose file can only grow.
                unsafe {
                    std::ptr::copy_nonoverlapping(self.data.add(offset), to.as_mut_ptr(), to.len());
                }
                true
            }
            _ => false,
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.unmap();
    }
}
