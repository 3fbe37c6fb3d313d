//! Names for end users that say nothing about them.

use std::fmt;

use ring::hmac;

use crate::Text;

/// Makes pseudonyms of end users with a secret key.
///
/// A pseudonym is the first 128 bits of HMAC-SHA256 over the tenant and the end user: the same person has the same
/// pseudonym in one tenant's rows and another one in every other tenant's, and without the key nobody can try names out.
#[derive(Clone)]
pub struct Pseudonyms(hmac::Key);

impl Pseudonyms {
    /// With this key, which should be 32 random bytes and stay the same: another key makes other pseudonyms.
    pub fn new(key: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    /// What stands for this end user of this tenant: `p-` and 32 hexadecimal digits.
    pub fn of(&self, tenant: &str, end_user: &str) -> Text {
        let mut context = hmac::Context::with_key(&self.0);
        // The length before the tenant keeps (`a`, `bc`) and (`ab`, `c`) apart.
        context.update(&(tenant.len() as u64).to_le_bytes());
        context.update(tenant.as_bytes());
        context.update(end_user.as_bytes());
        let mut name = String::with_capacity(34);
        name.push_str("p-");
        for byte in context.sign().as_ref().iter().take(16) {
            for digit in [byte >> 4, byte & 15] {
                name.push(char::from_digit(u32::from(digit), 16).unwrap_or('0'));
            }
        }
        Text::new(&name)
    }
}

impl fmt::Debug for Pseudonyms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pseudonyms")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pseudonym_is_the_same_for_one_tenant_and_key_only() {
        let names = Pseudonyms::new(&[7; 32]);
        let name = names.of("acme", "alice");
        assert_eq!(name.as_str().len(), 34);
        assert_eq!(name, names.of("acme", "alice"));
        assert_ne!(name, names.of("acm", "ealice"));
        assert_ne!(name, names.of("other", "alice"));
        assert_ne!(name, Pseudonyms::new(&[8; 32]).of("acme", "alice"));
    }
}
