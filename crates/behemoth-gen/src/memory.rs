//! Allocations whose size depends on user input, with an error if memory is insufficient.
//!
//! An allocation by `Vec` aborts the program when it fails. That is right for the engine's own
//! buffers, and wrong for a range, a sample or a corpus requested by a user.

use crate::error::{Error, Result};

/// Returns an empty list with capacity for `count` values, which the error calls `of`; if memory is
/// insufficient, `argument` is refused.
pub(crate) fn room_for<T>(argument: &str, count: u64, of: &str) -> Result<Vec<T>> {
    let mut room = Vec::new();
    let values = usize::try_from(count).unwrap_or(usize::MAX);
    match room.try_reserve_exact(values) {
        Ok(()) => Ok(room),
        Err(_) => Err(refused(argument, count, of)),
    }
}

/// Like [`room_for`], filled with zeros: fresh memory from the system is zero and is not touched.
pub(crate) fn zeros<T: Clone + Default>(argument: &str, count: u64, of: &str) -> Result<Vec<T>> {
    room_for::<T>(argument, count, of)?;
    Ok(vec![T::default(); count as usize])
}

/// Reserves capacity for `more` values in a list; if memory is insufficient, the list is emptied.
pub(crate) fn make_room<T>(all: &mut Vec<T>, more: usize, argument: &str, of: &str) -> Result<()> {
    // A list grows to twice its capacity, which may not fit where the values do. Smaller steps still
    // grow with the list, since each may copy it; the smallest is what is needed.
    let steps = [more.max(all.len() / 8), more];
    let fits = all.try_reserve(more).is_ok()
        || steps
            .into_iter()
            .any(|step| all.try_reserve_exact(step).is_ok());
    if !fits {
        let count = all.len() as u64 + more as u64;
        // The error itself needs a little memory.
        *all = Vec::new();
        return Err(refused(argument, count, of));
    }
    Ok(())
}

fn refused(argument: &str, count: u64, of: &str) -> Error {
    let got = format!("{count} {of}");
    Error::argument(argument, got, format!("as many {of} as fit in memory"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_is_there_and_what_does_not_is_refused() {
        let room = room_for::<u64>("stop", 10, "tokens").unwrap();
        assert!(room.is_empty() && room.capacity() >= 10);
        assert_eq!(zeros::<u16>("stop", 3, "tokens").unwrap(), [0, 0, 0]);
        let mut all = vec![1u8, 2];
        make_room(&mut all, 5, "stop", "tokens").unwrap();
        assert!(all == [1, 2] && all.capacity() >= 7);
        let mut full = vec![1u16, 2];
        for error in [
            make_room(&mut full, (1 << 62) - 2, "stop", "tokens").unwrap_err(),
            room_for::<u16>("stop", 1 << 62, "tokens").unwrap_err(),
            zeros::<u16>("stop", 1 << 62, "tokens").unwrap_err(),
        ] {
            assert_eq!(
                error.to_string(),
                "argument 'stop': got 4611686018427387904 tokens, allowed: as many tokens as fit \
                 in memory"
            );
        }
        assert!(full.is_empty());
    }
}
