//! Probes by gRPC: one question to the standard health service, in the words of the kubelet.

use std::net::SocketAddr;

use tonic::Code;
use tonic::transport::Endpoint;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::probe::Look;

/// Asks the server at an address about one of its services; an empty name asks about all of it.
pub(super) async fn look(address: SocketAddr, service: &str) -> Look {
    let endpoint = Endpoint::from_shared(format!("http://{address}"))
        .and_then(|endpoint| endpoint.user_agent("kube-probe/1.35"));
    let channel = match endpoint {
        Ok(endpoint) => endpoint.connect().await,
        Err(error) => Err(error),
    };
    let channel = match channel {
        Ok(channel) => channel,
        Err(error) => {
            let text = format!("error: failed to connect service \"{address}\": {error}");
            return Look::Failure(text);
        }
    };
    let question = HealthCheckRequest {
        service: service.to_owned(),
    };
    match HealthClient::new(channel).check(question).await {
        Ok(answer) => {
            let status = answer.get_ref().status();
            if status == ServingStatus::Serving {
                Look::Success
            } else {
                let word = status.as_str_name();
                Look::Failure(format!("service unhealthy (responded with \"{word}\")"))
            }
        }
        Err(status) if status.code() == Code::Unimplemented => Look::Failure(format!(
            "error: this server does not implement the grpc health protocol \
             (grpc.health.v1.Health): {}",
            status.message()
        )),
        Err(status) => Look::Failure(format!("error: health rpc probe failed: {status}")),
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use tokio::net::TcpListener;
    use tonic::transport::Server;
    use tonic::transport::server::TcpIncoming;
    use tonic_health::ServingStatus;

    use super::super::probe::Look;
    use super::look;

    async fn listener() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    fn failure(look: Look) -> String {
        match look {
            Look::Failure(text) => text,
            other => panic!("not a failure: {other:?}"),
        }
    }

    #[tokio::test]
    async fn the_health_service_decides() {
        let (listener, address) = listener().await;
        let (reporter, health) = tonic_health::server::health_reporter();
        let server = Server::builder()
            .add_service(health)
            .serve_with_incoming(TcpIncoming::from(listener));
        let serving = tokio::spawn(server);
        assert_eq!(look(address, "").await, Look::Success);
        reporter
            .set_service_status("game", ServingStatus::NotServing)
            .await;
        assert_eq!(
            failure(look(address, "game").await),
            "service unhealthy (responded with \"NOT_SERVING\")"
        );
        let text = failure(look(address, "stranger").await);
        assert!(
            text.starts_with("error: health rpc probe failed: "),
            "{text}"
        );
        reporter
            .set_service_status("game", ServingStatus::Serving)
            .await;
        assert_eq!(look(address, "game").await, Look::Success);
        serving.abort();
    }

    #[tokio::test]
    async fn a_server_without_it_and_no_server_are_failures() {
        let (listener, address) = listener().await;
        let server = Server::builder()
            .add_routes(tonic::service::Routes::default())
            .serve_with_incoming(TcpIncoming::from(listener));
        let serving = tokio::spawn(server);
        let text = failure(look(address, "").await);
        assert!(
            text.contains("does not implement the grpc health protocol"),
            "{text}"
        );
        serving.abort();
        drop(serving.await);
        let text = failure(look(address, "").await);
        assert!(
            text.starts_with("error: failed to connect service"),
            "{text}"
        );
    }
}
