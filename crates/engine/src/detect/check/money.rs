//! Numbers of cards, accounts and banks.

/// The ASCII digits of a value.
pub(crate) fn digits(value: &[u8]) -> Vec<u8> {
    value
        .iter()
        .filter(|b| b.is_ascii_digit())
        .map(|b| b - b'0')
        .collect()
}

fn is_luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(index, digit)| {
            let weighed = u32::from(*digit) << (index % 2);
            if weighed > 9 { weighed - 9 } else { weighed }
        })
        .sum();
    sum.is_multiple_of(10)
}

/// Issuer identification numbers and lengths of Visa, Mastercard, American Express, Discover, JCB,
/// Diners Club and UnionPay, as their public tables give them.
pub(crate) fn is_card(digits: &[u8]) -> bool {
    if digits.len() < 13 {
        return false;
    }
    let prefix = |n: usize| {
        digits[..n]
            .iter()
            .fold(0u32, |sum, d| sum * 10 + u32::from(*d))
    };
    let issued = match digits.len() {
        13 => false,
        14 => matches!(prefix(3), 300..=305 | 309) || matches!(prefix(2), 36 | 38 | 39),
        15 => matches!(prefix(2), 34 | 37),
        16 => {
            prefix(1) == 4
                || matches!(prefix(2), 51..=55 | 62 | 65)
                || matches!(prefix(4), 2221..=2720 | 3528..=3589 | 6011)
                || matches!(prefix(3), 644..=649)
        }
        19 => prefix(2) == 62 || prefix(1) == 4,
        _ => false,
    };
    issued
        && is_luhn(digits)
        && digits
            .iter()
            .any(|digit| *digit != digits[digits.len() - 1])
}

/// Lengths of IBANs by country, from the registry of ISO 13616.
const IBAN_LENGTHS: &str = "AD24AE23AL28AT20AZ28BA20BE16BG22BH22BR29BY28CH21CR22CY28CZ24DE22DK18DO28EE20EG29ES24FI18FO18FR27GB22GE22GI23GL18GR27GT28HR21HU28IE22IL23IQ23IS26IT27JO30KW30KZ20LB28LC32LI21LT20LU20LV21MC27MD24ME22MK19MR27MT31MU30NL18NO15PK24PL28PS29PT25QA29RO24RS22SA24SC31SE24SI19SK24SM27ST25SV28TL23TN24TR26UA29VA22VG24XK20";

/// The length of a country's IBANs.
pub(crate) fn iban_len(country: [u8; 2]) -> Option<usize> {
    let entries = IBAN_LENGTHS.as_bytes().chunks_exact(4);
    let found = entries.clone().find(|entry| entry[..2] == country)?;
    Some(usize::from(found[2] - b'0') * 10 + usize::from(found[3] - b'0'))
}

/// `value` is upper case, without spaces.
pub(crate) fn is_iban(value: &[u8]) -> bool {
    if value.len() < 5 || iban_len([value[0], value[1]]) != Some(value.len()) {
        return false;
    }
    let remainder = value[4..]
        .iter()
        .chain(&value[..4])
        .try_fold(0u32, |sum, byte| {
            let digit = char::from(*byte).to_digit(36)?;
            Some((sum * if digit > 9 { 100 } else { 10 } + digit) % 97)
        });
    remainder == Some(1)
}

pub(super) fn is_aba(value: &[u8]) -> bool {
    let digits = digits(value);
    let weights = [3, 7, 1, 3, 7, 1, 3, 7, 1];
    let sum: u32 = digits
        .iter()
        .zip(weights)
        .map(|(d, w)| u32::from(*d) * w)
        .sum();
    digits.len() == 9 && sum > 0 && sum.is_multiple_of(10)
}
