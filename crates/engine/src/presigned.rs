//! Queries that a storage service's client has signed, told by all of their items together: any one
//! of them may be called so by anyone.

/// The longest session token that goes with a signature.
const TOKEN_BYTES_MAX: usize = 4096;

/// The forms of signed queries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// Amazon's Signature Version 4, as S3 and its likes take it.
    Amazon,
    /// Google Cloud Storage, V4.
    Google,
    /// Amazon's and Google's older form, and Alibaba's.
    Old,
    /// Azure's shared access signature.
    Azure,
    /// CloudFront, with a plain expiry or a policy.
    CloudFront,
}

/// What an item's value looks like.
#[derive(Debug, Clone, Copy)]
enum Value {
    /// One of these texts.
    OneOf(&'static [&'static str]),
    /// An access key or an account, and the scope that it signs for, in five parts.
    Credential,
    /// `YYYYMMDDThhmmssZ`.
    Stamp,
    /// `YYYY-MM-DD`, with a time after it or without.
    Day,
    Digits,
    /// Names with `;` between.
    Names,
    /// Hexadecimal, of one of these numbers of digits.
    Hex(&'static [usize]),
    /// Base 64 in any of its alphabets, of at most so many symbols.
    Base64(usize),
    /// A few letters or digits.
    Short,
}

type Item = (&'static str, Value);

impl Form {
    const ALL: [Self; 5] = [
        Self::Amazon,
        Self::Google,
        Self::Old,
        Self::Azure,
        Self::CloudFront,
    ];

    /// The form that a query has: every item of it is there, and looks as it must.
    pub(crate) fn of(query: &[u8]) -> Option<Self> {
        let is_whole = |form: &Self| {
            let has = |(name, value): &Item| {
                item(query, name).is_some_and(|found| value.fits(&unescaped(found)))
            };
            let short = |name: &&str| item(query, name).is_none_or(|v| v.len() <= TOKEN_BYTES_MAX);
            form.items().iter().all(has) && form.extras().iter().all(short)
        };
        // Most queries have no signature at all.
        let names: [&[u8]; 2] = [b"ignature=", b"sig="];
        let is_signed = names
            .iter()
            .any(|name| memchr::memmem::find(query, name).is_some());
        Self::ALL
            .into_iter()
            .find(|form| is_signed && is_whole(form))
    }

    /// What must be there.
    fn items(self) -> &'static [Item] {
        use Value::{Base64, Credential, Day, Digits, Hex, Names, OneOf, Short, Stamp};
        const AMAZON: &[&str] = &["AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256"];
        const GOOGLE: &[&str] = &["GOOG4-RSA-SHA256", "GOOG4-HMAC-SHA256"];
        match self {
            Self::Amazon => &[
                ("x-amz-algorithm", OneOf(AMAZON)),
                ("x-amz-credential", Credential),
                ("x-amz-date", Stamp),
                ("x-amz-expires", Digits),
                ("x-amz-signedheaders", Names),
                ("x-amz-signature", Hex(&[64, 140, 142, 144])),
            ],
            Self::Google => &[
                ("x-goog-algorithm", OneOf(GOOGLE)),
                ("x-goog-credential", Credential),
                ("x-goog-date", Stamp),
                ("x-goog-expires", Digits),
                ("x-goog-signedheaders", Names),
                ("x-goog-signature", Hex(&[64, 512])),
            ],
            Self::Old => &[("expires", Digits), ("signature", Base64(344))],
            Self::Azure => &[("sv", Day), ("se", Day), ("sp", Short), ("sig", Base64(44))],
            Self::CloudFront => &[("key-pair-id", Short), ("signature", Base64(344))],
        }
    }

    /// What may be there too.
    fn extras(self) -> &'static [&'static str] {
        match self {
            Self::Amazon => &["x-amz-security-token", "x-amz-content-sha256"],
            Self::Google => &[],
            Self::Old => &[
                "awsaccesskeyid",
                "googleaccessid",
                "ossaccesskeyid",
                "x-amz-security-token",
            ],
            Self::Azure => &["skoid", "sktid", "skt", "ske", "sks", "skv", "st"],
            Self::CloudFront => &["policy", "expires"],
        }
    }

    /// Whether an item, by its key, belongs to this form.
    pub(crate) fn has(self, key: &[u8]) -> bool {
        let mut items = self.items().iter();
        let mut extras = self.extras().iter();
        items.any(|(name, _)| is_same(name, key)) || extras.any(|name| is_same(name, key))
    }

    /// Whether an item is the signature itself. One longer than a hash could hold more than it says,
    /// unless only the store will read it.
    pub(crate) fn is_signature(self, key: &[u8], value: &[u8], is_store: bool) -> bool {
        const HASH_SYMBOLS_MAX: usize = 64;
        let last = self.items().last();
        last.is_some_and(|(name, _)| is_same(name, key))
            && (is_store || unescaped(value).len() <= HASH_SYMBOLS_MAX)
    }
}

impl Value {
    fn fits(self, value: &[u8]) -> bool {
        let is_base64 = |b: &u8| b.is_ascii_alphanumeric() || b"+/-_~=".contains(b);
        let is_name = |b: &u8| b.is_ascii_alphanumeric() || b"-_;".contains(b);
        match self {
            Self::OneOf(texts) => texts.iter().any(|text| text.as_bytes() == value),
            Self::Credential => is_credential(value),
            Self::Stamp => {
                value.len() == 16
                    && value.iter().enumerate().all(|(at, b)| match at {
                        8 => *b == b'T',
                        15 => *b == b'Z',
                        _ => b.is_ascii_digit(),
                    })
            }
            Self::Day => {
                (10..=25).contains(&value.len())
                    && value[..4].iter().all(u8::is_ascii_digit)
                    && value
                        .iter()
                        .all(|b| b.is_ascii_digit() || b"-:TZ.+".contains(b))
            }
            Self::Digits => (1..=12).contains(&value.len()) && value.iter().all(u8::is_ascii_digit),
            Self::Names => value.len() <= 256 && value.iter().all(is_name),
            Self::Hex(lengths) => {
                lengths.contains(&value.len()) && value.iter().all(u8::is_ascii_hexdigit)
            }
            Self::Base64(symbols_max) => {
                (24..=symbols_max).contains(&value.len()) && value.iter().all(is_base64)
            }
            Self::Short => value.len() <= 24 && value.iter().all(u8::is_ascii_alphanumeric),
        }
    }
}

/// An account, a day, a region, a service, and the name of the form.
fn is_credential(value: &[u8]) -> bool {
    const BYTES_MAX: usize = 256;
    let parts: Vec<_> = value.rsplitn(5, |b| *b == b'/').collect();
    let [form, service, region, day, account] = parts[..] else {
        return false;
    };
    let is_short = |part: &[u8]| (1..=32).contains(&part.len());
    value.len() <= BYTES_MAX
        && form.ends_with(b"4_request")
        && is_short(service)
        && is_short(region)
        && day.len() == 8
        && day.iter().all(u8::is_ascii_digit)
        && !account.is_empty()
}

fn is_same(name: &str, key: &[u8]) -> bool {
    name.as_bytes().eq_ignore_ascii_case(key)
}

fn item<'a>(query: &'a [u8], name: &str) -> Option<&'a [u8]> {
    query.split(|b| *b == b'&').find_map(|item| {
        let at = memchr::memchr(b'=', item)?;
        is_same(name, &item[..at]).then(|| &item[at + 1..])
    })
}

fn unescaped(value: &[u8]) -> std::borrow::Cow<'_, [u8]> {
    crate::shape::unescaped(value)
}

#[cfg(test)]
mod tests {
    use super::Form;

    const AMAZON: &str = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIDEXAMPLE%2F20260101\
        %2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20260101T000000Z&X-Amz-Expires=300\
        &X-Amz-SignedHeaders=host\
        &X-Amz-Signature=8f3c2b1a9d8e7f6a5b4c3d2e1f0a9b8c7d6e5f4a3b2c1d0e9f8a7b6c5d4e3f2a";

    #[test]
    fn a_signed_query_is_told_by_all_its_items() {
        assert_eq!(Form::of(AMAZON.as_bytes()), Some(Form::Amazon));
        for (from, to) in [
            ("X-Amz-Date=20260101T000000Z&", ""),
            ("AWS4-HMAC-SHA256", "none"),
            ("=8f3c2b1a", "=q7x2Kd9v"),
            ("%2Faws4_request", ""),
        ] {
            let broken = AMAZON.replace(from, to);
            assert_eq!(Form::of(broken.as_bytes()), None, "{broken}");
        }
    }

    #[test]
    fn each_form() {
        let azure = "sv=2022-11-02&st=2026-01-01T00%3A00%3A00Z&se=2026-01-02T00%3A00%3A00Z&sr=b&sp=r\
            &sig=q7x2Kd9vZ1p4W8j3Nf6bT5y0H2c9Xq4rM7gkZ6v1Pd8%3D";
        assert_eq!(Form::of(azure.as_bytes()), Some(Form::Azure));
        let lone = "sig=q7x2Kd9vZ1p4W8j3Nf6bT5y0H2c9Xq4rM7gkZ6v1Pd8%3D";
        assert_eq!(Form::of(lone.as_bytes()), None);
        let cloudfront = "Expires=1767225600&Signature=q7x2Kd9vZ1p4W8j3Nf6bT5y0H2c9Xq4rM7gkZ6v1Pd8__\
            &Key-Pair-Id=K2JCJMDEHXQW5F";
        assert!(Form::of(cloudfront.as_bytes()).is_some());
    }
}
