//! Watch streams on their way through the proxy: passed on chunk by chunk, held back, or cut.
use std::{
    collections::VecDeque,
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::body::{Body, Bytes};
use futures::{Stream, StreamExt as _, stream};
use tokio::sync::{mpsc, watch};

/// The streams whose events are held back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Held {
    #[default]
    Nothing,
    Everything,
    /// The streams of these resources, by plural.
    Resources(&'static [&'static str]),
}

impl Held {
    fn holds(self, resource: &str) -> bool {
        match self {
            Self::Nothing => false,
            Self::Everything => true,
            Self::Resources(resources) => resources.contains(&resource),
        }
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Control {
    /// How often all streams were cut.
    cuts: usize,
    held: Held,
}

/// All watch streams of a proxy.
#[derive(Debug, Default)]
pub struct Watches {
    control: watch::Sender<Control>,
    open: Arc<AtomicUsize>,
    opened: AtomicUsize,
}

impl Watches {
    /// How many streams are open.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// How many streams were opened so far.
    pub fn opened(&self) -> usize {
        self.opened.load(Ordering::Relaxed)
    }

    /// Ends all open streams.
    pub fn cut(&self) {
        self.control.send_modify(|control| control.cuts += 1);
    }

    /// From now on holds the events of these streams back, and lets go of all others.
    pub fn hold(&self, held: Held) {
        self.control.send_modify(|control| control.held = held);
    }

    /// Passes the events of a watch of `resource` on.
    pub fn pass<E: Send + 'static>(
        &self,
        resource: &str,
        events: impl Stream<Item = Result<Bytes, E>> + Send + Unpin + 'static,
    ) -> Body {
        let (to, mut from) = mpsc::channel(1);
        self.opened.fetch_add(1, Ordering::Relaxed);
        let open = Open::new(&self.open);
        let control = self.control.subscribe();
        let resource = resource.to_owned();
        tokio::spawn(async move {
            let _open = open;
            pump(&resource, events, &to, control).await;
        });
        Body::from_stream(
            stream::poll_fn(move |context| from.poll_recv(context)).map(Ok::<_, Infallible>),
        )
    }
}

/// Counts as an open stream until it is dropped.
struct Open(Arc<AtomicUsize>);

impl Open {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Returns when the stream has ended on either side or is cut.
async fn pump<E>(
    resource: &str,
    mut events: impl Stream<Item = Result<Bytes, E>> + Unpin,
    to: &mpsc::Sender<Bytes>,
    mut control: watch::Receiver<Control>,
) {
    let cuts = control.borrow_and_update().cuts;
    let mut waiting = VecDeque::new();
    let mut ended = false;
    loop {
        let Control { cuts: now, held } = *control.borrow_and_update();
        if now != cuts {
            return;
        }
        if !held.holds(resource) {
            for event in waiting.drain(..) {
                if to.send(event).await.is_err() {
                    return;
                }
            }
            if ended {
                return;
            }
        }
        tokio::select! {
            event = events.next(), if !ended => match event {
                Some(Ok(event)) => waiting.push_back(event),
                // A reader of a stream that is held back does not learn of its end either.
                Some(Err(_)) | None => ended = true,
            },
            changed = control.changed() => if changed.is_err() {
                return;
            },
            () = to.closed() => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::FutureExt as _;
    use tokio::time::timeout;

    use super::*;

    const SOON: Duration = Duration::from_secs(5);

    struct Stream {
        events: mpsc::UnboundedSender<Result<Bytes, Infallible>>,
        body: axum::body::BodyDataStream,
    }

    fn stream(watches: &Watches, resource: &str) -> Stream {
        let (events, mut from) = mpsc::unbounded_channel();
        let from = stream::poll_fn(move |context| from.poll_recv(context));
        Stream {
            events,
            body: watches.pass(resource, from).into_data_stream(),
        }
    }

    impl Stream {
        fn send(&self, text: &'static str) {
            self.events
                .send(Ok(Bytes::from_static(text.as_bytes())))
                .unwrap();
        }

        async fn next(&mut self) -> Option<Bytes> {
            timeout(SOON, self.body.next())
                .await
                .unwrap()
                .transpose()
                .unwrap()
        }
    }

    #[tokio::test]
    async fn events_pass_one_by_one() {
        let watches = Watches::default();
        let mut pods = stream(&watches, "pods");
        for text in ["first", "second"] {
            pods.send(text);
            assert_eq!(pods.next().await.unwrap(), text);
        }
        drop(pods.events);
        assert_eq!(
            timeout(SOON, pods.body.next())
                .await
                .unwrap()
                .transpose()
                .unwrap(),
            None
        );
    }

    #[tokio::test]
    async fn held_events_come_later_and_in_order() {
        let watches = Watches::default();
        let mut pods = stream(&watches, "pods");
        let mut jobs = stream(&watches, "jobs");
        watches.hold(Held::Resources(&["pods"]));
        pods.send("first");
        pods.send("second");
        jobs.send("other");
        assert_eq!(jobs.next().await.unwrap(), "other");
        assert!(pods.body.next().now_or_never().is_none());
        watches.hold(Held::Nothing);
        assert_eq!(pods.next().await.unwrap(), "first");
        assert_eq!(pods.next().await.unwrap(), "second");
    }

    #[tokio::test]
    async fn a_cut_ends_the_streams_that_are_open() {
        let watches = Watches::default();
        let mut before = stream(&watches, "pods");
        before.send("first");
        assert_eq!(before.next().await.unwrap(), "first");
        assert_eq!(watches.open(), 1);
        watches.cut();
        assert_eq!(before.next().await, None);
        let mut after = stream(&watches, "pods");
        after.send("second");
        assert_eq!(after.next().await.unwrap(), "second");
        assert_eq!((watches.open(), watches.opened()), (1, 2));
    }
}
