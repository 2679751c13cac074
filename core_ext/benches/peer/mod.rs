//! The peer: the crate `implied-vol`, option by option, as its documentation shows it.
use implied_vol::solver::{BlackSolver, Experimental, Hybrid};
use implied_vol::{DefaultSpecialFn, ImpliedBlackVolatility};

/// Options quoted at undiscounted prices.
pub struct Undiscounted<'a> {
    pub price: &'a [f64],
    pub forward: &'a [f64],
    pub strike: &'a [f64],
    pub t: &'a [f64],
    /// 0 for a put, anything else for a call.
    pub is_call: &'a [u8],
}

/// With the solver that it takes by itself.
pub fn hybrid(options: &Undiscounted, sigmas: &mut [f64]) {
    solve::<Hybrid<DefaultSpecialFn>>(options, sigmas);
}

/// With the solver that its author measures as the fastest.
pub fn experimental(options: &Undiscounted, sigmas: &mut [f64]) {
    solve::<Experimental>(options, sigmas);
}

fn solve<S: BlackSolver>(options: &Undiscounted, sigmas: &mut [f64]) {
    for (i, sigma) in sigmas.iter_mut().enumerate() {
        *sigma = ImpliedBlackVolatility::builder()
            .option_price(options.price[i])
            .forward(options.forward[i])
            .strike(options.strike[i])
            .expiry(options.t[i])
            .is_call(options.is_call[i] != 0)
            .build()
            .and_then(|option| option.calculate_with::<S>())
            .unwrap_or(f64::NAN);
    }
}
