//! Tells the linker where libtorch is: what its crate says of that does not reach a dynamic library that depends on it.

fn main() {
    println!("cargo::rerun-if-env-changed=LIBTORCH");
    // In a bundle it lies in `lib`, beside `plugins`.
    println!("cargo::rustc-link-arg-cdylib=-Wl,-rpath,$ORIGIN/../lib");
    // Built to be checked only, there is none.
    if let Ok(libtorch) = std::env::var("LIBTORCH") {
        println!("cargo::rustc-link-arg-cdylib=-L{libtorch}/lib");
        println!("cargo::rustc-link-arg-cdylib=-Wl,--no-as-needed");
        println!("cargo::rustc-link-arg-cdylib=-ltorch");
        println!("cargo::rustc-link-arg-cdylib=-ltorch_cpu");
        println!("cargo::rustc-link-arg-cdylib=-lc10");
    }
}
