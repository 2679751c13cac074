//! Instruction sets: one kernel, compiled once for each level, chosen when the program runs.
//!
//! A [`Kernel`] is a plain loop over plain arithmetic. [`Level::run`] calls the copy of it that the compiler has
//! vectorised for that level. The operations and their order are the same in every copy, and none is fused or
//! reassociated, so every level gives the same bits.
use std::sync::OnceLock;

/// A computation to be compiled for every level: mark `run` and all it calls `#[inline(always)]`.
pub trait Kernel {
    /// What it gives.
    type Output;
    /// Computes it.
    fn run(self) -> Self::Output;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Set {
    Baseline,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

/// An instruction set that this processor has; there is no way to make another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Level(Set);

impl Level {
    /// What every processor of the target has: SSE2 on x86-64, NEON on `AArch64`.
    pub const BASELINE: Self = Self(Set::Baseline);

    /// The levels of this processor, best last.
    #[must_use]
    pub fn available() -> &'static [Self] {
        static AVAILABLE: OnceLock<Vec<Level>> = OnceLock::new();
        AVAILABLE.get_or_init(detect)
    }

    /// The best level of this processor.
    #[must_use]
    pub fn best() -> Self {
        Self::available().last().copied().unwrap_or(Self::BASELINE)
    }

    /// The level of this name, if this processor has it.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::available().iter().copied().find(|level| level.name() == name)
    }

    /// `baseline`, `avx2` or `avx512`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self.0 {
            Set::Baseline => "baseline",
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => "avx512",
        }
    }

    /// Runs `kernel` with the instructions of this level.
    #[cfg_attr(target_arch = "x86_64", expect(unsafe_code, reason = "the one place where a level is used"))]
    pub fn run<K: Kernel>(self, kernel: K) -> K::Output {
        match self.0 {
            Set::Baseline => kernel.run(),
            // SAFETY: `detect`, the only maker of this value, has seen all features of the function called.
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => unsafe { avx2(kernel) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => unsafe { avx512(kernel) },
        }
    }
}

fn detect() -> Vec<Level> {
    let mut levels = vec![Level::BASELINE];
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx2") {
            levels.push(Level(Set::Avx2));
        }
        if is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512bw")
        {
            levels.push(Level(Set::Avx512));
        }
    }
    levels
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn avx2<K: Kernel>(kernel: K) -> K::Output {
    kernel.run()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512bw")]
fn avx512<K: Kernel>(kernel: K) -> K::Output {
    kernel.run()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Sum<'a>(&'a [f64]);

    impl Kernel for Sum<'_> {
        type Output = f64;
        #[inline(always)]
        fn run(self) -> f64 {
            self.0.iter().sum()
        }
    }

    #[test]
    fn every_level_runs_and_is_found_by_its_name() {
        assert_eq!(Level::available().first(), Some(&Level::BASELINE));
        for &level in Level::available() {
            assert_eq!(Level::named(level.name()), Some(level));
            assert_eq!(level.run(Sum(&[1.0, 2.0, 3.5])), 6.5);
            assert!(level <= Level::best());
        }
        assert_eq!(Level::named("mmx"), None);
    }
}
