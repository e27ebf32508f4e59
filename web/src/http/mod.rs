//! HTTP plumbing: the accept loop, TLS, headers, problems, and the router in which no route stands without a policy.

pub mod accept;
pub mod cookies;
pub mod headers;
pub mod origin;
pub mod policy;
pub mod problem;
pub mod range;
pub mod tls;
