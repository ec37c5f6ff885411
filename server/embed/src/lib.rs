//! The whole server as a value, for the `salver` program and for programs that embed it.
//!
//! A program that embeds the server brings a runtime of tokio's, and platforms of its own or a folder of plugins;
//! `examples/embed` has one of each. What is logged goes to `tracing`, whose subscriber is the program's.
//!
//! ```no_run
//! use salver_server_embed::{Outcome, ServeConfig, Server};
//!
//! # async fn serve() -> Result<(), Box<dyn std::error::Error>> {
//! let config = ServeConfig::from_flags(["--port=0", "--model-repository=models", "--plugin-dir=plugins"])?;
//! let server = Server::start(&config).await?;
//! println!("listening on {:?}", server.addresses());
//! let outcome = server.run(async { tokio::signal::ctrl_c().await.unwrap_or(()) }).await;
//! assert_eq!(outcome, Outcome::Drained);
//! # Ok(())
//! # }
//! ```

mod ports;
mod routes;
mod server;

pub use salver_server_assembly::{Control, Platforms, work};
pub use salver_server_config::ServeConfig;
pub use salver_server_inference::Inference;
pub use salver_server_listen::Outcome;
pub use salver_server_memory::configure as configure_allocator;
pub use server::Server;
