// SPDX-License-Identifier: MIT

//! Polynomials through values at whole numbers: what each counts at `x`, from 0 to 1.

/// Of the values at -1, 0, 1 and 2.
#[inline]
pub fn four(x: f64) -> [f64; 4] {
    let (a, b, c) = (x + 1.0, x - 1.0, x - 2.0);
    [
        x * b * c * (-1.0 / 6.0),
        a * b * c * 0.5,
        a * x * c * -0.5,
        a * x * b * (1.0 / 6.0),
    ]
}

/// Of the values at -2 to 3.
#[inline]
pub fn six(x: f64) -> [f64; 6] {
    let (a, b, c) = (x + 1.0, x - 1.0, x - 2.0);
    let (z, d) = (x + 2.0, x - 3.0);
    let (za, az, bc, cd) = (z * a, z * a * x, b * c, b * c * d);
    [
        a * x * cd * (-1.0 / 120.0),
        z * x * cd * (1.0 / 24.0),
        za * cd * (-1.0 / 12.0),
        az * c * d * (1.0 / 12.0),
        az * b * d * (-1.0 / 24.0),
        az * bc * (1.0 / 120.0),
    ]
}
