mod batches;
mod fixture;
mod replies;
mod traffic;
