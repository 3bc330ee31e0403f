//! Writes the generated code to the directory given as the only argument.
//!
//! Called by `cargo xtask codegen`; the output in `src/gen/` is committed.
#![expect(clippy::print_stdout, reason = "a command for the terminal")]

use std::path::PathBuf;

use anyhow::Context as _;

/// Every file with a package of its own.
const FILES: [&str; 7] = [
    "agones/dev/sdk/sdk.proto",
    "allocation/allocation.proto",
    "muster/allocation/v1/allocation.proto",
    "muster/auth/v1/auth.proto",
    "muster/hub/v1/hub.proto",
    "muster/lobby/v1/lobby.proto",
    "muster/sdk/v1/sdk.proto",
];

/// Messages that hold a secret: their `Debug` is in `src/secret.rs`, and shows none.
const SECRETS: [&str; 19] = [
    ".muster.allocation.v1.PlayerToken",
    ".muster.auth.v1.Challenge",
    ".muster.auth.v1.Device",
    ".muster.auth.v1.IntrospectRequest",
    ".muster.auth.v1.IssueReconnectionResponse",
    ".muster.auth.v1.Password",
    ".muster.auth.v1.ReconnectRequest",
    ".muster.auth.v1.RefreshRequest",
    ".muster.auth.v1.RegisterRequest",
    ".muster.auth.v1.SecondStep",
    ".muster.auth.v1.Tokens",
    ".muster.auth.v1.ValidateRequest",
    ".muster.hub.v1.ConnectKey",
    ".muster.lobby.v1.Hello",
    ".muster.lobby.v1.MatchReady",
    ".muster.lobby.v1.RejoinMatch",
    ".muster.lobby.v1.Resume",
    ".muster.lobby.v1.Welcome",
    ".muster.sdk.v1.ConnectKey",
];

fn main() -> anyhow::Result<()> {
    let out = PathBuf::from(std::env::args().nth(1).context("usage: protogen OUT_DIR")?);
    std::fs::create_dir_all(&out)?;
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("proto");

    let mut compiler = protox::Compiler::new([root])?;
    compiler
        .include_source_info(true)
        .include_imports(true)
        .open_files(FILES)?;
    let descriptors = compiler.file_descriptor_set();
    let encoded = compiler.encode_file_descriptor_set();

    tonic_prost_build::configure()
        .build_transport(false)
        .out_dir(&out)
        .compile_well_known_types(true)
        .extern_path(".google.protobuf", "::pbjson_types")
        .btree_map(".")
        .skip_debug(SECRETS)
        .compile_fds(descriptors)?;
    // REST bodies follow the protobuf JSON mapping with the options of Agones' gateway: names as
    // in the .proto, defaults written out, unknown fields ignored.
    pbjson_build::Builder::new()
        .register_descriptors(&encoded)?
        .out_dir(&out)
        .btree_map(["."])
        .preserve_proto_field_names()
        .emit_fields()
        .ignore_unknown_fields()
        .build(&[".agones.dev.sdk", ".allocation"])?;
    // The same for players' clients, who need no defaults and are told of fields that do not exist.
    pbjson_build::Builder::new()
        .register_descriptors(&encoded)?
        .out_dir(&out)
        .btree_map(["."])
        .preserve_proto_field_names()
        .build(&[".muster.lobby"])?;

    println!("{}", out.display());
    Ok(())
}
