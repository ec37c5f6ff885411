//! Opens the ports, and the socket.

use std::net::SocketAddr;
use std::path::Path;

use salver_core_status::Status;
use salver_server_config::{Listen, RestPort};
use salver_server_listen::Listener;
use tokio::net::TcpListener;

/// All that is listened on.
pub(crate) struct Open {
    pub(crate) listeners: Vec<Listener>,
    /// Of the ports, the main one first.
    pub(crate) addresses: Vec<SocketAddr>,
}

/// Opens all that is wanted.
///
/// # Errors
/// UNAVAILABLE: a port or the socket cannot be had.
pub(crate) async fn open(listen: &Listen) -> Result<Open, Status> {
    let (listeners, addresses) = ports(listen).await?.into_iter().unzip();
    let mut open = Open { listeners, addresses };
    if let Some(path) = &listen.unix_socket {
        open.listeners.push(socket(path)?);
    }
    Ok(open)
}

async fn ports(listen: &Listen) -> Result<Vec<(Listener, SocketAddr)>, Status> {
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

async fn bind_one(wanted: SocketAddr) -> Result<(Listener, SocketAddr), Status> {
    let bind = async {
        let listener = TcpListener::bind(wanted).await?;
        let address = listener.local_addr()?;
        Ok((Listener::from(listener), address))
    };
    let bound = bind.await;
    let (listener, address) = bound
        .map_err(|error: std::io::Error| Status::unavailable(format!("listening on {wanted}: {error}")))?;
    tracing::info!(%address, "listening for gRPC and REST");
    Ok((listener, address))
}

fn socket(path: &Path) -> Result<Listener, Status> {
    let shown = path.display();
    let listener = Listener::unix(path)
        .map_err(|error| Status::unavailable(format!("listening on unix:{shown}: {error}")))?;
    tracing::info!(address = %format_args!("unix:{shown}"), "listening for gRPC and REST");
    Ok(listener)
}
