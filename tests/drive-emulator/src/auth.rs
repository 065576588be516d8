//! Who asks: service accounts' keys, the tokens that they are exchanged for, and their scopes.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
use rsa::pkcs8::{EncodePrivateKey, LineEnding};
use rsa::traits::PublicKeyParts;
use serde_json::{Value, json};

use crate::ids;
use crate::refusal::Refusal;
use crate::state::{Caller, Scope, State, Token};

/// Seconds that a token is good for; Google's say one less.
const LIFETIME: i64 = 3600;
/// Seconds that clocks may differ.
const SKEW: i64 = 300;

/// The one key of this process: making one takes long. Accounts differ by the key's id.
struct Key {
    pem: String,
    n: Vec<u8>,
    e: Vec<u8>,
}

fn key() -> &'static Key {
    static KEY: OnceLock<Key> = OnceLock::new();
    KEY.get_or_init(|| {
        let key = rsa::RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 2048).expect("a key");
        let pem = key.to_pkcs8_pem(LineEnding::LF).expect("a key as PEM").to_string();
        Key { pem, n: key.n().to_bytes_be(), e: key.e().to_bytes_be() }
    })
}

/// Returns the file that the Cloud console gives for a service account's key.
pub(crate) fn credentials(email: &str, key_id: &str, token_uri: &str) -> Value {
    json!({
        "type": "service_account",
        "project_id": "drive-emulator",
        "private_key_id": key_id,
        "private_key": key().pem,
        "client_email": email,
        "client_id": "100000000000000000001",
        "auth_uri": "https://accounts.google.com/o/oauth2/auth",
        "token_uri": token_uri,
        "auth_provider_x509_cert_url": "https://www.googleapis.com/oauth2/v1/certs",
        "universe_domain": "googleapis.com",
    })
}

/// Why there is no token, as RFC 6749 has it.
#[derive(Debug)]
pub(crate) struct NoToken {
    pub(crate) status: u16,
    error: &'static str,
    description: String,
}

impl NoToken {
    fn new(error: &'static str, description: impl Into<String>) -> NoToken {
        let status = if error == "unauthorized_client" { 401 } else { 400 };
        NoToken { status, error, description: description.into() }
    }

    pub(crate) fn body(&self) -> Bytes {
        let body = json!({"error": self.error, "error_description": self.description});
        Bytes::from(body.to_string())
    }
}

/// Exchanges a signed assertion for a token. `audiences`: the addresses that this endpoint has.
pub(crate) fn token(state: &mut State, form: &[u8], audiences: &[&str]) -> Result<Bytes, NoToken> {
    let form: Vec<(String, String)> = form_urlencoded::parse(form).into_owned().collect();
    let field = |name| form.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    if field("grant_type") != Some("urn:ietf:params:oauth:grant-type:jwt-bearer") {
        return Err(NoToken::new("unsupported_grant_type", "Invalid grant_type"));
    }
    let malformed = || NoToken::new("invalid_grant", "Invalid JWT: Failed to parse the assertion.");
    let assertion = field("assertion").ok_or_else(malformed)?;
    let [head, claims, signature] = assertion.split('.').collect::<Vec<_>>()[..] else {
        return Err(malformed());
    };
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part.trim_end_matches('=')).ok();
    let object = |part| serde_json::from_slice::<Value>(&decode(part)?).ok();
    let (header, claim) =
        (object(head).ok_or_else(malformed)?, object(claims).ok_or_else(malformed)?);

    let issuer = claim["iss"].as_str().unwrap_or_default();
    let account = state.accounts.get(issuer).filter(|account| account.key.is_some());
    let account =
        account.ok_or_else(|| NoToken::new("invalid_grant", "Invalid grant: account not found"))?;
    let signed = &assertion[..head.len() + 1 + claims.len()];
    let ours = header["alg"] == "RS256"
        && (header["kid"].is_null() || header["kid"].as_str() == account.key.as_deref())
        && !account.revoked
        && decode(signature).is_some_and(|signature| verifies(signed.as_bytes(), &signature));
    if !ours {
        return Err(NoToken::new("invalid_grant", "Invalid JWT Signature."));
    }

    let now = state.clock.now() / 1000;
    let (Some(issued), Some(expires)) = (claim["iat"].as_i64(), claim["exp"].as_i64()) else {
        return Err(malformed());
    };
    if issued > now + SKEW
        || expires < now - SKEW
        || expires - issued > LIFETIME
        || expires <= issued
    {
        return Err(NoToken::new(
            "invalid_grant",
            "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable \
             timeframe. Check your iat and exp values in the JWT claim.",
        ));
    }
    if !claim["aud"].as_str().is_some_and(|audience| audiences.contains(&audience)) {
        let message = format!("Invalid JWT: The audience {} is not this endpoint.", claim["aud"]);
        return Err(NoToken::new("invalid_grant", message));
    }

    let scope = scope(claim["scope"].as_str().unwrap_or_default()).ok_or_else(|| {
        NoToken::new("invalid_scope", "Invalid OAuth scope or ID token audience provided.")
    })?;
    let subject = claim["sub"].as_str().filter(|subject| !subject.is_empty()).unwrap_or(issuer);
    let person = state.accounts.get(subject);
    if subject != issuer && !person.is_some_and(|person| person.delegates.contains(issuer)) {
        return Err(NoToken::new(
            "unauthorized_client",
            "Client is unauthorized to retrieve access tokens using this method, or client not \
             authorized for any of the scopes requested.",
        ));
    }
    let access_token = format!("ya29.{}", ids::random(120));
    let expires = state.clock.now() + LIFETIME * 1000;
    let token = Token { email: subject.to_owned(), scope, expires };
    state.tokens.insert(access_token.clone(), token);
    let body = json!({
        "access_token": access_token, "expires_in": LIFETIME - 1, "token_type": "Bearer",
    });
    Ok(Bytes::from(body.to_string()))
}

fn verifies(message: &[u8], signature: &[u8]) -> bool {
    let public = RsaPublicKeyComponents { n: &key().n, e: &key().e };
    public.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature).is_ok()
}

/// The widest of the asked scopes; `None` if one is none of Google's, or none is of Drive.
fn scope(text: &str) -> Option<Scope> {
    const PREFIX: &str = "https://www.googleapis.com/auth/";
    let asked: BTreeSet<Option<Scope>> = text
        .split_ascii_whitespace()
        .map(|scope| {
            Some(match scope.strip_prefix(PREFIX)? {
                "drive" => Scope::Full,
                "drive.file" => Scope::File,
                "drive.readonly" | "drive.metadata.readonly" => Scope::Read,
                _ => return None,
            })
        })
        .collect();
    if asked.contains(&None) { None } else { asked.into_iter().flatten().max() }
}

/// Tells who asks by the header `Authorization`.
pub(crate) fn caller(state: &State, header: Option<&str>) -> Result<Caller, Refusal> {
    let Some(header) = header else {
        let message = "Method doesn't allow unregistered callers (callers without established \
            identity). Please use API Key or other form of API consumer identity to call this API.";
        return Err(Refusal::new(403, "forbidden", message));
    };
    let refused = || Refusal::new(401, "authError", "Invalid Credentials").of_authorization();
    let token = header.strip_prefix("Bearer ").ok_or_else(refused)?;
    let token = state.tokens.get(token.trim()).ok_or_else(refused)?;
    let account = state.accounts.get(&token.email).ok_or_else(refused)?;
    if account.revoked || token.expires <= state.clock.now() {
        return Err(refused());
    }
    Ok(Caller { email: token.email.clone(), scope: token.scope })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_widest_scope_counts_and_unknown_ones_do_not() {
        let of = |names: &str| {
            let all = names.split(' ').map(|n| format!("https://www.googleapis.com/auth/{n}"));
            scope(&all.collect::<Vec<_>>().join(" "))
        };
        assert_eq!(of("drive"), Some(Scope::Full));
        assert_eq!(of("drive.readonly drive.file"), Some(Scope::File));
        assert_eq!(of("drive nonsense"), None);
        assert_eq!(scope(""), None);
    }
}
