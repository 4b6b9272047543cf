//! The two ciphers (3.4), both CBC under a constant initialisation vector, with keys from the client key (3.3).

use std::sync::OnceLock;

use aes::Aes256;
use aes::cipher::block_padding::{NoPadding, Pkcs7};
use aes::cipher::{Array, BlockModeDecrypt, BlockModeEncrypt, InnerIvInit, KeyInit};
use blowfish::Blowfish;
use cbc::{Decryptor, Encryptor};

use super::digest::md5_hex;
use super::error::CodecError;

const AES_IV: [u8; 16] = *b"FEDCBA0987654321";
const BLOWFISH_IV: [u8; 8] = [0xfe, 0xdc, 0xba, 0x98, 0x76, 0x54, 0x32, 0x10];
const AES_BLOCK: usize = 16;

/// How a message is encrypted. An agent is answered in the method of its latest message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Method {
    /// AES-256-CBC with PKCS#7, the agents' default.
    #[default]
    Aes,
    /// Blowfish-CBC without padding, for agents set to it.
    Blowfish,
}

impl Method {
    /// What stands in front of the ciphertext.
    pub fn token(self) -> &'static [u8] {
        match self {
            Self::Aes => b"#AES:",
            Self::Blowfish => b":",
        }
    }

    /// The method whose token `bytes` begin with.
    pub(super) fn leading(bytes: &[u8]) -> Option<Self> {
        [Self::Aes, Self::Blowfish].into_iter().find(|method| bytes.starts_with(method.token()))
    }

    /// Bytes of ciphertext for a plaintext whose length is a multiple of eight.
    pub(super) fn encrypted_len(self, plain_bytes: usize) -> usize {
        match self {
            Self::Aes => (plain_bytes / AES_BLOCK + 1) * AES_BLOCK,
            Self::Blowfish => plain_bytes,
        }
    }
}

/// Both ciphers of one client key, ready for use.
///
/// AES is expanded at once; Blowfish, whose schedule costs 4 KiB and 521 encryptions, only when a message needs it.
pub(super) struct Ciphers {
    aes: Aes256,
    blowfish: OnceLock<Box<Blowfish>>,
    secret: [u8; 47],
}

impl Ciphers {
    /// Derives both keys (3.3): `md5(key)`, then 15 digits of `md5(md5(name) md5(id))`.
    pub(super) fn derive(id: &str, name: &str, client_key: &str) -> Self {
        let of_key = md5_hex(&[client_key.as_bytes()]);
        let of_names = md5_hex(&[&md5_hex(&[name.as_bytes()]), &md5_hex(&[id.as_bytes()])]);
        let mut secret = [0; 47];
        secret[..32].copy_from_slice(&of_key);
        secret[32..].copy_from_slice(&of_names[..15]);
        Self { aes: Aes256::new(&Array(of_key)), blowfish: OnceLock::new(), secret }
    }

    fn blowfish(&self) -> &Blowfish {
        self.blowfish
            .get_or_init(|| Box::new(Blowfish::new_from_slice(&self.secret).expect("47 bytes are a valid key length")))
    }

    /// Encrypts in place the first `plain_bytes` of `buffer`, which has room for the padding and no more.
    pub(super) fn encrypt(&self, method: Method, buffer: &mut [u8], plain_bytes: usize) {
        match method {
            Method::Aes => Encryptor::inner_iv_init(&self.aes, &Array(AES_IV))
                .encrypt_padded::<Pkcs7>(buffer, plain_bytes)
                .map(drop),
            Method::Blowfish => Encryptor::inner_iv_init(self.blowfish(), &Array(BLOWFISH_IV))
                .encrypt_padded::<NoPadding>(buffer, plain_bytes)
                .map(drop),
        }
        .expect("the plaintext is a multiple of eight and the buffer has room for the padding");
    }

    /// Decrypts `buffer` in place and returns the plaintext in it.
    pub(super) fn decrypt<'a>(&self, method: Method, buffer: &'a mut [u8]) -> Result<&'a [u8], CodecError> {
        match method {
            Method::Aes => Decryptor::inner_iv_init(&self.aes, &Array(AES_IV)).decrypt_padded::<Pkcs7>(buffer),
            Method::Blowfish => {
                Decryptor::inner_iv_init(self.blowfish(), &Array(BLOWFISH_IV)).decrypt_padded::<NoPadding>(buffer)
            }
        }
        .map_err(|_| CodecError::Undecryptable)
    }

    #[cfg(test)]
    pub(super) fn secret(&self) -> &[u8; 47] {
        &self.secret
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_secret_is_the_vectors() {
        let key = "6f1c2b7a9d3e4f508172635445362718a9b8c7d6e5f4031221304f5e6d7c8b9a";
        let ciphers = Ciphers::derive("001", "web-01", key);
        assert_eq!(ciphers.secret(), b"63211dfe7541006e88837417b754edbc725a2967a61c602");
    }

    #[test]
    fn each_method_undoes_itself_and_not_the_other() {
        let ciphers = Ciphers::derive("001", "web-01", "key");
        for method in [Method::Aes, Method::Blowfish] {
            let mut buffer = vec![7; method.encrypted_len(24)];
            ciphers.encrypt(method, &mut buffer, 24);
            assert_ne!(buffer[..24], [7; 24]);
            assert_eq!(ciphers.decrypt(method, &mut buffer), Ok(&[7; 24][..]));
        }
    }

    #[test]
    fn a_broken_block_does_not_decrypt() {
        let ciphers = Ciphers::derive("001", "web-01", "key");
        for method in [Method::Aes, Method::Blowfish] {
            assert_eq!(ciphers.decrypt(method, &mut [1; 23]), Err(CodecError::Undecryptable));
        }
        assert_eq!(ciphers.decrypt(Method::Aes, &mut []), Err(CodecError::Undecryptable));
    }
}
