//! Password data that can be decoded.

use std::sync::LazyLock;

use data_encoding::BASE64;
use klatch::crypto::opaque::PasswordData;

/// An OPAQUE setup, drawn once.
const SETUP: &str = "\
    28BcIw4MsBsJXSSoLDzibW2Ib/Tl1cIKEKpthl0Lil31Xv29sgt+daF3eRvjdTrSK+VF/yG+UaWAJVWeA34Jr5Rt\
    gkbmRjNsEUxmP6t4ugBxe4hvi3NneWvUsSrscTsP2Jjq3jE1kj/AxHO/y05eoZKg+vHRaG/7dzaaXufC/DQ=\
";

/// A registration with it.
const REGISTRATION: &str = "\
    xkYweK67wodGDhO67cg1/XE9aFMoiyIGEM2CIUKMy1+37G2gPxQNkiNtu3Pjf2otrAiUgVFGqeYfm4cQpdIGj2tL\
    xWCkBWYL7NR6HD5manUdITob940erbYfVl0mLY9IoJC3YEY+RbOf7lVQ8w1OJj1cCKWa+jN7lPEndiAohUvLftXq\
    CzLpGThMlm5GBWeZ7oO820Wu5s+JkVgu/IzWOwbLIGeaUP0Q/JQaN8OnHHLceNpJvF5WUpQJVyaGcDhN\
";

/// The parts, decoded.
static PARTS: LazyLock<(Vec<u8>, Vec<u8>)> = LazyLock::new(|| {
    let decode = |text: &str| BASE64.decode(text.as_bytes()).unwrap();
    (decode(SETUP), decode(REGISTRATION))
});

/// Password data that differ by `drawn`. Real ones need the system's randomness, so no seed could
/// be replayed, and are slow on purpose: here the world knows which password opens which, and
/// OPAQUE's seed, at the front of the setup, may be anything.
pub fn password_data(drawn: [u8; 32]) -> PasswordData {
    let (mut setup, registration) = PARTS.clone();
    setup[..drawn.len()].copy_from_slice(&drawn);
    PasswordData::from_bytes(&setup, &registration).unwrap()
}
