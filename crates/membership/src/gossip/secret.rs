//! What the members of a cluster share: packets are sealed and signed with it.

use std::fmt;

use aes::Aes256;
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use super::packet::{GossipPacket, GossipProof};

/// The bytes of the initialization vector that a sealed packet begins with.
const IV_BYTES: usize = 16;

/// What the signing key is derived with, so that it is another one than the sealing key.
const SIGNING: &[u8] = b"enmesh gossip 1 signing key";

/// A secret of gossip: libcluster's `secret`, as the two keys that are made of it.
///
/// Packets are sealed as libcluster does, by AES-256-CBC with the SHA-256 of the secret as key.
/// This hides them and proves nothing: who knows what a packet says can change parts of it. What
/// is proved is signed, by HMAC-SHA256 with a key of its own.
///
/// `Debug` does not show it.
#[derive(Clone)]
pub struct GossipSecret {
    sealing: [u8; 32],
    signing: [u8; 32],
}

impl GossipSecret {
    /// The keys of `secret`, all bytes of which count.
    pub fn new(secret: impl AsRef<[u8]>) -> Self {
        let secret = secret.as_ref();
        Self {
            sealing: Sha256::digest(secret).into(),
            signing: mac(secret, SIGNING).finalize().into_bytes().into(),
        }
    }

    /// The packet as it travels; `iv` is random, and another one for each packet.
    pub fn seal(&self, plain: &[u8], iv: [u8; IV_BYTES]) -> Vec<u8> {
        let cipher = cbc::Encryptor::<Aes256>::new(&self.sealing.into(), &iv.into());
        let mut sealed = iv.to_vec();
        sealed.extend(cipher.encrypt_padded_vec::<Pkcs7>(plain));
        sealed
    }

    /// What [`seal`](Self::seal) was given; `None` where it was another secret, or none.
    pub fn open(&self, sealed: &[u8]) -> Option<Vec<u8>> {
        let (iv, sealed) = sealed.split_first_chunk::<IV_BYTES>()?;
        let cipher = cbc::Decryptor::<Aes256>::new(&self.sealing.into(), &(*iv).into());
        cipher.decrypt_padded_vec::<Pkcs7>(sealed).ok()
    }

    /// The packet with the code that belongs into its proof; one without a proof stays as it is.
    #[must_use]
    pub fn sign(&self, mut packet: GossipPacket) -> GossipPacket {
        let code = self.code(&packet).finalize().into_bytes().into();
        match &mut packet {
            GossipPacket::Heartbeat { proof, .. } => {
                if let Some(proof) = proof {
                    proof.code = code;
                }
            }
            GossipPacket::Goodbye { proof, .. } => proof.code = code,
        }
        packet
    }

    /// Whether the packet has a proof and its code is right. It is compared in constant time.
    pub fn has_signed(&self, packet: &GossipPacket) -> bool {
        let right = |proof: &GossipProof| self.code(packet).verify_slice(&proof.code).is_ok();
        packet.proof().is_some_and(right)
    }

    fn code(&self, packet: &GossipPacket) -> Hmac<Sha256> {
        mac(&self.signing, &packet.signed_bytes())
    }
}

fn mac(key: &[u8], bytes: &[u8]) -> Hmac<Sha256> {
    let mut mac =
        <Hmac<Sha256> as KeyInit>::new_from_slice(key).expect("a key of any length is taken");
    mac.update(bytes);
    mac
}

impl fmt::Debug for GossipSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GossipSecret(..)")
    }
}

#[cfg(test)]
mod tests;
