//! Opens the ports.

use std::net::SocketAddr;

use salver_core_status::Status;
use salver_server_config::{Listen, RestPort};
use tokio::net::TcpListener;

/// An open port, and where it is.
pub(crate) struct Port {
    pub(crate) listener: TcpListener,
    pub(crate) address: SocketAddr,
}

/// Opens every port that is wanted, the main one first.
///
/// # Errors
/// UNAVAILABLE: a port cannot be had.
pub(crate) async fn bind(listen: &Listen) -> Result<Vec<Port>, Status> {
    let mut ports = vec![bind_one(SocketAddr::new(listen.host, listen.port)).await?];
    match listen.rest_port {
        RestPort::None => {}
        RestPort::Wanted(port) => ports.push(bind_one(SocketAddr::new(listen.host, port)).await?),
        RestPort::IfFree(port) => match bind_one(SocketAddr::new(listen.host, port)).await {
            Ok(port) => ports.push(port),
            Err(status) => {
                let reason = status.message();
                tracing::warn!("{reason}; gRPC and REST are on port {}", listen.port);
            }
        },
    }
    Ok(ports)
}

async fn bind_one(wanted: SocketAddr) -> Result<Port, Status> {
    let bind = async {
        let listener = TcpListener::bind(wanted).await?;
        let address = listener.local_addr()?;
        Ok(Port { listener, address })
    };
    let port = bind.await;
    let port =
        port.map_err(|error: std::io::Error| Status::unavailable(format!("listening on {wanted}: {error}")))?;
    tracing::info!(address = %port.address, "listening for gRPC and REST");
    Ok(port)
}
