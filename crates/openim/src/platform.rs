//! Platform ids: classes of client by number (`spec/openim/semantics.md`, section 2).

use chat::Platform;

/// The platform of admin tokens.
pub(crate) const ADMIN: u8 = 10;

/// The platform of that number; `None` if there is none. An admin acts through a backend.
pub(crate) fn of(number: i64) -> Option<Platform> {
    Some(match number {
        1 => Platform::Ios,
        2 => Platform::Android,
        3 => Platform::Windows,
        4 => Platform::MacOs,
        5 => Platform::Web,
        6 => Platform::MiniWeb,
        7 => Platform::Linux,
        8 => Platform::AndroidPad,
        9 => Platform::IPad,
        10 => Platform::Rest,
        11 => Platform::Harmony,
        _ => return None,
    })
}

/// The number of a client's platform; `None` for a backend, which says itself what its messages shall show.
pub(crate) fn number(platform: Platform) -> Option<i32> {
    Some(match platform {
        Platform::Rest => return None,
        Platform::Ios => 1,
        Platform::Android => 2,
        Platform::Windows => 3,
        Platform::MacOs => 4,
        Platform::Web => 5,
        Platform::MiniWeb => 6,
        Platform::Linux => 7,
        Platform::AndroidPad => 8,
        Platform::IPad => 9,
        Platform::Harmony => 11,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_platforms_agree() {
        for id in 1..=11 {
            let platform = of(id).unwrap();
            assert_eq!(number(platform).map(i64::from), (id != i64::from(ADMIN)).then_some(id));
        }
        assert_eq!((of(0), of(12), of(-1)), (None, None, None));
    }
}
