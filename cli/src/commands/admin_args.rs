//! Which gateways are asked on their admin ports.

use std::path::PathBuf;

use clap::Args;
use http::Response;
use hyper::body::Incoming;

use crate::cluster::PodError;
use crate::error::CtlError;
use crate::http::{get, send};
use crate::reach::{Base, Place, Trust};

/// Which gateways are asked on their admin ports.
#[derive(Debug, Args)]
pub struct AdminArgs {
    /// Ask this gateway alone [default: all of the namespace]
    #[arg(long, value_name = "NAME")]
    pub gateway: Option<String>,

    /// Ask the admin port at this URL, and no cluster
    #[arg(long, value_name = "URL", conflicts_with = "gateway")]
    pub url: Option<Base>,

    /// File with the token for that port; a gateway without a cluster needs none
    #[arg(long, value_name = "FILE", requires = "url")]
    pub token_file: Option<PathBuf>,
}

/// An admin port at an address.
#[derive(Clone)]
pub struct Port {
    place: Place,
    token: Option<String>,
}

impl AdminArgs {
    /// The port at the URL, if one is named.
    pub fn port(&self) -> Result<Option<Port>, CtlError> {
        let Some(base) = &self.url else { return Ok(None) };
        let token = match &self.token_file {
            Some(path) => {
                let text = std::fs::read_to_string(path).map_err(CtlError::io(path.display().to_string()))?;
                Some(text.trim().to_owned())
            }
            None => None,
        };
        Ok(Some(Port {
            place: Place::Address(base.clone()),
            token,
        }))
    }
}

impl Port {
    /// Host and port.
    pub fn name(&self) -> String {
        self.place.host()
    }

    /// Sends a GET.
    pub async fn get(&self, path: &str) -> Result<Response<Incoming>, PodError> {
        let stream = self.place.open(&Trust::default()).await.map_err(PodError::Reach)?;
        let request = get(path, self.token.as_deref())?;
        Ok(send(stream, &self.place.host(), request).await?)
    }
}
