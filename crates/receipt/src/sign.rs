//! Signatures over the chain's head.

use std::fmt;

use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};
use serde::Serialize;

use crate::chain::Head;
use crate::hex::{Hex, KeyId, PublicKey, Signature, key_id};
use crate::line::{self, HeadClaim};
use crate::time::Time;

/// What a signature is over: no signature of one kind can stand for another, or for anything
/// that the key might sign elsewhere.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Domain {
    Open,
    Head,
    Close,
    Ledger,
}

impl Domain {
    fn prefix(self) -> &'static [u8] {
        match self {
            Self::Open => b"carboy receipts v1 open\n",
            Self::Head => b"carboy receipts v1 head\n",
            Self::Close => b"carboy receipts v1 close\n",
            Self::Ledger => b"carboy receipts v1 ledger\n",
        }
    }

    /// The signed message: the prefix, then the statement's canonical form.
    pub(crate) fn message<T: Serialize>(self, statement: &T) -> Vec<u8> {
        let mut message = self.prefix().to_vec();
        line::encode(statement, &mut message);
        message
    }
}

/// The key of an installation. Its secret is overwritten when it is dropped, and never shown.
pub struct Signer {
    key: SigningKey,
    public: PublicKey,
}

impl Signer {
    /// A signer with this secret: 32 random bytes that the shell keeps (RFC 8032 section 5.1.5).
    /// The shell overwrites its own copy.
    pub fn new(secret: &[u8; 32]) -> Self {
        let key = SigningKey::from_bytes(secret);
        let public = Hex::new(key.verifying_key().to_bytes());
        Self { key, public }
    }

    /// The public half.
    pub fn public_key(&self) -> PublicKey {
        self.public
    }

    /// The public half's id.
    pub fn key_id(&self) -> KeyId {
        key_id(&self.public)
    }

    /// Signs a head of the chain. It needs no access to the chain, which may grow meanwhile.
    pub fn sign(&self, head: Head, time: Time) -> SignedHead {
        let claim = HeadClaim {
            hash: head.hash,
            seq: head.seq,
            time,
        };
        SignedHead {
            claim,
            key: self.key_id(),
            sig: self.sign_statement(Domain::Head, &claim),
        }
    }

    pub(crate) fn sign_statement<T: Serialize>(&self, domain: Domain, statement: &T) -> Signature {
        Hex::new(self.key.sign(&domain.message(statement)).to_bytes())
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({})", self.key_id())
    }
}

/// A head with its signature, ready for [`crate::Chain::seal`].
#[derive(Debug, Clone, Copy)]
pub struct SignedHead {
    pub(crate) claim: HeadClaim,
    pub(crate) key: KeyId,
    pub(crate) sig: Signature,
}

/// Whether `sig` is `key`'s signature of `statement`, by the strict rules that leave a signature
/// only one form.
pub(crate) fn is_signed<T: Serialize>(
    key: &PublicKey,
    domain: Domain,
    statement: &T,
    sig: &Signature,
) -> bool {
    let signature = ed25519_dalek::Signature::from_bytes(sig.as_bytes());
    VerifyingKey::from_bytes(key.as_bytes())
        .and_then(|key| key.verify_strict(&domain.message(statement), &signature))
        .is_ok()
}
