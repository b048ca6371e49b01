// SPDX-License-Identifier: MIT

//! How far ahead a detector hears.

/// How many later frames decide about a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LookAhead {
    /// 0 ms.
    None,
    /// 30 ms.
    #[default]
    Short,
    /// 60 ms.
    Medium,
    /// 100 ms.
    Long,
}

impl LookAhead {
    /// All, the shortest first.
    pub const ALL: [Self; 4] = [Self::None, Self::Short, Self::Medium, Self::Long];

    /// In frames of 10 ms.
    pub const fn frames(self) -> usize {
        match self {
            Self::None => 0,
            Self::Short => 3,
            Self::Medium => 6,
            Self::Long => 10,
        }
    }

    /// The longest that is no longer than `ns`.
    pub fn within(ns: u64) -> Self {
        let mut all = Self::ALL.into_iter();
        all.rfind(|l| l.ns() <= ns).unwrap_or(Self::None)
    }

    /// In ns.
    pub const fn ns(self) -> u64 {
        self.frames() as u64 * 10_000_000
    }
}
