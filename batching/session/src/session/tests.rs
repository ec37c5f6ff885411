mod batches;
mod fixture;
mod measures;
mod replies;
mod traffic;
