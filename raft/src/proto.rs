//! Generated from `proto/`: what peers say to each other and what is stored.
#![allow(missing_docs, unreachable_pub, clippy::all, reason = "generated; the .proto files document it")]

tonic::include_proto!("muster.raft.v1");
