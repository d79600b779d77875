//! Bodies that stream.

use super::*;

#[tokio::test]
async fn trailers_pass_in_both_directions() {
    let (listener, address) = listen().await;
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sent", HeaderValue::from_static("1"));
    let script = ScriptedBody::new([Step::Data("body".into()), Step::Trailers(trailers)]);
    let mut put = request(Method::PUT, "/key", script);
    put.headers_mut()
        .insert("trailer", HeaderValue::from_static("x-sent"));
    let target = origin(address, "s3").with_payload(PayloadMode::Unsigned);
    let response = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-back\r\n\r\n\
        2\r\nok\r\n0\r\nx-back: 2\r\n\r\n";
    let sent = client(target).oneshot(put);
    let (received, _) = tokio::join!(
        sent,
        wire(&listener, "\r\n0\r\nx-sent: 1\r\n\r\n", response)
    );
    let body = received
        .expect("a response")
        .into_body()
        .collect()
        .await
        .expect("a body");
    assert_eq!(body.trailers().expect("trailers")["x-back"], "2");
    assert_eq!(body.to_bytes(), "ok");
}

/// A body of the frames that a channel delivers.
struct ChannelBody(mpsc::Receiver<Bytes>, SizeHint);

impl Body for ChannelBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0
            .poll_recv(cx)
            .map(|frame_data| Some(Ok(Frame::data(frame_data?))))
    }

    fn size_hint(&self) -> SizeHint {
        self.1
    }
}

#[tokio::test]
async fn bodies_stream_in_both_directions() {
    const FRAMES: usize = 64;
    let frame_data = Bytes::from(vec![b'a'; 64 * 1024]);
    let len = (FRAMES * frame_data.len()) as u64;
    for (mode, size) in [
        (PayloadMode::Unsigned, SizeHint::default()),
        (PayloadMode::Unsigned, SizeHint::with_exact(len)),
        (
            PayloadMode::Chunked(ChunkSize::default()),
            SizeHint::with_exact(len),
        ),
    ] {
        let (address, heads) = verifier("s3").await;
        let (sender, receiver) = mpsc::channel(1);
        sender.send(frame_data.clone()).await.expect("wanted");
        let known = size.exact().is_some();
        let request = request(Method::PUT, "/key", ChannelBody(receiver, size));
        let target = origin(address, "s3").with_payload(mode);
        let mut body = client(target)
            .oneshot(request)
            .await
            .expect("a response")
            .into_body();
        let mut read = 0;
        for at in 1..FRAMES {
            // One frame ahead, since a chunk ends with the start of the next one.
            sender.send(frame_data.clone()).await.expect("wanted");
            while read < at * frame_data.len() {
                let frame = body.frame().await.expect("more").expect("sound");
                read += frame.into_data().expect("data").len();
            }
        }
        drop(sender);
        read += body.collect().await.expect("sound").to_bytes().len();
        assert_eq!(read as u64, len, "{mode:?}");
        let headers = &heads.lock().expect("not poisoned")[0].headers;
        assert_eq!(
            headers.contains_key("transfer-encoding"),
            !known,
            "{mode:?}"
        );
    }
}
