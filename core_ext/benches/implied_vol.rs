//! The crate `implied-vol`, called from Rust, on the inputs of `benches/core.py`, which starts this program.
//!
//! ```text
//! cargo bench --bench implied_vol -- DIRECTORY hybrid|experimental
//! ```
//!
//! Reads `implied_vol.in`, doubles as they lie in memory: all undiscounted prices, then all forwards, strikes,
//! times, and 1 for a call or 0 for a put. Writes the volatilities to `implied_vol.out` and prints the seconds
//! of each of several passes over all options as a JSON list.
mod peer;

use std::io::{Error, ErrorKind, Write as _};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use peer::Undiscounted;

const AT_LEAST: usize = 7;
const TIME: Duration = Duration::from_secs(2);

fn main() -> Result<(), Error> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let (directory, solve): (_, fn(&Undiscounted, &mut [f64])) = match arguments.as_slice() {
        [directory, solver] if solver == "hybrid" => (PathBuf::from(directory), peer::hybrid),
        [directory, solver] if solver == "experimental" => (PathBuf::from(directory), peer::experimental),
        _ => {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                "usage: implied_vol DIRECTORY hybrid|experimental",
            ));
        }
    };
    let bytes = std::fs::read(directory.join("implied_vol.in"))?;
    let numbers: Vec<f64> = bytes.as_chunks().0.iter().map(|&chunk| f64::from_le_bytes(chunk)).collect();
    let n = numbers.len() / 5;
    let column = |i: usize| &numbers[i * n..(i + 1) * n];
    let is_call: Vec<u8> = column(4).iter().map(|&flag| u8::from(flag == 1.0)).collect();
    let options = Undiscounted {
        price: column(0),
        forward: column(1),
        strike: column(2),
        t: column(3),
        is_call: &is_call,
    };

    let mut sigmas = vec![0.0; n];
    solve(&options, &mut sigmas); // not counted, as in benches/_measure.py
    let mut seconds: Vec<f64> = Vec::new();
    let start = Instant::now();
    while seconds.len() < AT_LEAST || start.elapsed() < TIME {
        let pass = Instant::now();
        solve(&options, &mut sigmas);
        seconds.push(pass.elapsed().as_secs_f64());
    }
    let bytes: Vec<u8> = sigmas.iter().flat_map(|sigma| sigma.to_le_bytes()).collect();
    std::fs::write(directory.join("implied_vol.out"), bytes)?;
    writeln!(std::io::stdout(), "{seconds:?}")
}
