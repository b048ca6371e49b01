// SPDX-License-Identifier: MIT

//! The resampler's dot products for AVX2+FMA and AVX-512.

use super::resample_pass::{Columns, Kernels, REAL_WINDOWS, Weighted};
use super::{resample_groups_x86 as groups, resample_rows_x86 as rows};

macro_rules! kernels {
    ($module:ident, $level:ident) => {
        Kernels {
            columns: Columns {
                windows: REAL_WINDOWS,
                group: groups::$module::$level::group,
                groups: groups::$module::$level::groups,
                stereo: groups::$module::$level::stereo,
            },
            four: Weighted {
                mono: rows::$module::$level::mono::<4>,
                stereo: rows::$module::$level::stereo::<4>,
            },
            six: Weighted {
                mono: rows::$module::$level::mono::<6>,
                stereo: rows::$module::$level::stereo::<6>,
            },
            dot: rows::$module::$level::dot,
        }
    };
}

macro_rules! levels {
    ($module:ident, $t:ty) => {
        /// Only the instruction set `avx2()` and `avx512()` are asked for by run-time detection.
        pub mod $module {
            use super::*;

            pub fn avx2() -> Kernels<$t> {
                kernels!($module, a2)
            }

            pub fn avx512() -> Kernels<$t> {
                kernels!($module, a512)
            }
        }
    };
}

levels!(single, f32);
levels!(double, f64);
