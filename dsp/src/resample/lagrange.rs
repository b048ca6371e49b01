//! Polynomials through values at whole numbers: what each counts at `x`, from 0 to 1.

/// Of the values at -1, 0, 1 and 2.
#[inline]
pub fn four(x: f64) -> [f64; 4] {
    let (a, b, c) = (x + 1.0, x - 1.0, x - 2.0);
    [
        -x * b * c / 6.0,
        a * b * c / 2.0,
        -a * x * c / 2.0,
        a * x * b / 6.0,
    ]
}

/// Of the values at -2 to 3.
#[inline]
pub fn six(x: f64) -> [f64; 6] {
    let (a, b, c) = (x + 1.0, x - 1.0, x - 2.0);
    let (z, d) = (x + 2.0, x - 3.0);
    let (za, az, bc, cd) = (z * a, z * a * x, b * c, b * c * d);
    [
        a * x * cd / -120.0,
        z * x * cd / 24.0,
        za * cd / -12.0,
        az * c * d / 12.0,
        az * b * d / -24.0,
        az * bc / 120.0,
    ]
}
