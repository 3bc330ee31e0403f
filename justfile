# Short names for what cargo and xtask do; nothing is done here only.

# Lists the recipes.
default:
    @just --list

# Formats everything.
format:
    cargo fmt --all

# Checks what needs no cluster.
check:
    cargo xtask test --skip-cluster

# Checks everything, as CI does.
test:
    cargo xtask test

# Writes the generated files that are committed.
codegen:
    cargo xtask codegen

# Starts the local cluster; prints the kubeconfig's path.
up:
    cargo xtask cluster up

# Ends the local cluster.
down:
    cargo xtask cluster down

# Builds and installs this checkout.
install:
    cargo xtask install

# From nothing to an answered UDP packet.
demo *arguments:
    cargo xtask demo {{arguments}}
