// SPDX-License-Identifier: MIT

//! Logarithm and exponential good to 1e-4 or better, which compilers vectorise.

/// Natural logarithm of a positive normal number.
#[inline(always)]
pub fn ln(x: f32) -> f32 {
    log2(x) * std::f32::consts::LN_2
}

/// `10 log10(x)` of a positive normal number.
#[inline(always)]
pub fn decibel(x: f32) -> f32 {
    log2(x) * (10.0 * std::f32::consts::LOG10_2)
}

/// Logarithm to base 2 of a positive normal number: exponent, plus a series in
/// `(m - 1) / (m + 1)` for a mantissa `m` in [sqrt(1/2), sqrt(2)). Error below 2e-6.
#[inline(always)]
pub fn log2(x: f32) -> f32 {
    let bits = x.to_bits();
    // Subtracting the bits of sqrt(1/2) moves the split of the mantissa there.
    let shifted = bits.wrapping_sub(0x3f35_04f3);
    let exponent = (shifted as i32) >> 23;
    let mantissa = f32::from_bits(bits.wrapping_sub((exponent as u32) << 23));
    let t = (mantissa - 1.0) / (mantissa + 1.0);
    let t2 = t * t;
    let series = 2.885_39 + t2 * (0.961_800_76 + t2 * (0.576_584_3 + t2 * 0.434_259_7));
    exponent as f32 + t * series
}

/// `2^x`, for any `x`; relative error below 1e-5.
#[inline(always)]
pub fn exp2(x: f32) -> f32 {
    let x = x.clamp(-126.0, 126.0);
    // To the nearest: what is so large has no fraction. Processors of SSE2 have no other way.
    const LARGE: f32 = 12_582_912.0;
    let whole = (x + LARGE) - LARGE;
    let t = (x - whole) * std::f32::consts::LN_2;
    let series = 1.0 + t * (1.0 + t * (0.5 + t * (1.0 / 6.0 + t * (1.0 / 24.0 + t / 120.0))));
    series * f32::from_bits(((whole as i32 + 127) as u32) << 23)
}

#[inline(always)]
pub fn exp(x: f32) -> f32 {
    exp2(x * std::f32::consts::LOG2_E)
}

/// `1 / (1 + e^-x)`.
#[inline(always)]
pub fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// Sum of the products of two slices of one length, in lanes that compilers vectorise.
#[inline(always)]
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    const LANES: usize = 8;
    let mut lanes = [0f32; LANES];
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    for (a, b) in a.iter().zip(b) {
        for (lane, (a, b)) in lanes.iter_mut().zip(a.iter().zip(b)) {
            *lane += a * b;
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    lanes.iter().sum::<f32>() + rest
}

/// `x` as something to calculate with: NaN counts as silence, and what is more than 24 dB over
/// full scale is clipped.
#[inline(always)]
pub fn sane(x: f32) -> f32 {
    const MOST: f32 = 16.0;
    // One instruction each, which `clamp` is not.
    let y = if x < MOST { x } else { MOST };
    let y = if y > -MOST { y } else { -MOST };
    if x.is_nan() { 0.0 } else { y }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_sample_becomes_one() {
        let hostile = [
            f32::NAN,
            f32::INFINITY,
            f32::NEG_INFINITY,
            17.0,
            -17.0,
            16.0,
            -16.0,
        ];
        let wanted = [0.0, 16.0, -16.0, 16.0, -16.0, 16.0, -16.0];
        assert_eq!(hostile.map(sane), wanted);
        assert_eq!([0.5, -15.9, 1e-40].map(sane), [0.5, -15.9, 1e-40]);
    }

    #[test]
    fn close_to_the_standard_library() {
        let mut x = 1e-30f32;
        while x < 1e30 {
            assert!(
                (log2(x) - x.log2()).abs() < 1e-5 * x.log2().abs().max(1.0),
                "{x}"
            );
            assert!((decibel(x) - 10.0 * x.log10()).abs() < 1e-3, "{x}");
            x *= 1.0173;
        }
        let mut x = -80f32;
        while x < 80.0 {
            assert!((exp(x) / x.exp() - 1.0).abs() < 3e-5, "{x}");
            let exact = 1.0 / (1.0 + (-f64::from(x)).exp());
            assert!((f64::from(sigmoid(x)) - exact).abs() < 1e-5, "{x}");
            x += 0.0137;
        }
        assert!((log2(1.0)).abs() < 1e-7 && exp2(f32::MAX).is_finite() && exp2(f32::MIN) >= 0.0);
    }
}
