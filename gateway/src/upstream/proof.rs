//! Proof of who asks, where it is made for each request or lasts for a while.

use std::sync::Arc;

use http::{HeaderValue, Request, header};
use tokenweir_llm::Pieces;
use tokio::time::Instant;

use super::Upstreams;
use super::credential::Asker;
use super::failure::Failure;
use super::pool::UpstreamBody;
use crate::meter::UpstreamErrorKind;
use crate::plan::{Credential, Provider};

impl Upstreams {
    /// The token for a request, where the provider wants one; waits for it no longer than for the answer.
    pub(super) async fn token(&self, provider: &Provider, deadline: Instant) -> Result<Option<HeaderValue>, Failure> {
        let Some(Credential::Tokens(tokens)) = &provider.credential else {
            return Ok(None);
        };
        let asker = Asker {
            pools: Arc::clone(&self.pools),
            clock: Arc::clone(&self.clock),
        };
        match tokio::time::timeout_at(deadline, tokens.bearer(&asker)).await {
            Ok(Ok(token)) => Ok(Some(token)),
            Ok(Err(error)) => {
                tracing::debug!(provider = &*provider.name, %error, "no token");
                Err(UpstreamErrorKind::Credential.into())
            }
            Err(_) => Err(UpstreamErrorKind::TotalTimeout.into()),
        }
    }

    /// Puts the token on a request that is complete otherwise, or signs it.
    pub(super) fn prove(
        &self,
        provider: &Provider,
        token: Option<&HeaderValue>,
        body: &Pieces,
        request: &mut Request<UpstreamBody>,
    ) -> Result<(), UpstreamErrorKind> {
        if let Some(token) = token {
            request.headers_mut().insert(header::AUTHORIZATION, token.clone());
        }
        let Some(Credential::Aws(signer)) = &provider.credential else {
            return Ok(());
        };
        let path = request
            .uri()
            .path_and_query()
            .map_or("/", |path| path.as_str())
            .to_owned();
        // It came out of an authority, which is ASCII.
        let host = provider.target.uris().host.to_str().unwrap_or_default();
        signer
            .apply(host, &path, &body.to_bytes(), self.clock.unix(), request.headers_mut())
            .map_err(|error| {
                tracing::warn!(provider = &*provider.name, %error, "a request cannot be signed");
                UpstreamErrorKind::Credential
            })
    }
}
