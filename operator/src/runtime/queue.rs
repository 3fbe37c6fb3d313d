//! The queue in front of a controller: who is to be reconciled, with a depth that can be seen.

use std::collections::HashSet;
use std::convert::Infallible;
use std::hash::Hash;
use std::sync::Arc;

use futures::Stream;
use kube::Resource;
use kube::runtime::reflector::ObjectRef;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::UnboundedReceiverStream;

use crate::telemetry::QueueDepth;

/// The sending side. An object that already waits is not queued a second time, so the queue is bounded by the number of
/// objects. Clones feed one queue.
pub struct Queue<K: Resource<DynamicType = ()>> {
    sender: mpsc::UnboundedSender<ObjectRef<K>>,
    waiting: Waiting<K>,
}

impl<K: Resource<DynamicType = ()>> Clone for Queue<K> {
    fn clone(&self) -> Self {
        Self {
            sender: self.sender.clone(),
            waiting: self.waiting.clone(),
        }
    }
}

/// The objects that wait, as the controller sees them.
pub struct Waiting<K: Resource<DynamicType = ()>> {
    set: Arc<Mutex<HashSet<ObjectRef<K>>>>,
    depth: QueueDepth,
}

impl<K: Resource<DynamicType = ()>> Clone for Waiting<K> {
    fn clone(&self) -> Self {
        Self {
            set: self.set.clone(),
            depth: self.depth.clone(),
        }
    }
}

impl<K: Resource<DynamicType = ()>> Waiting<K>
where
    ObjectRef<K>: Hash + Eq,
{
    /// The object is being looked at: what happens to it from now on queues it anew.
    pub fn taken(&self, object: &ObjectRef<K>) {
        let mut set = self.set.lock();
        set.remove(object);
        self.depth.set(set.len());
    }
}

impl<K: Resource<DynamicType = ()> + 'static> Queue<K> {
    /// A queue, its receiving side as a controller wants it, and the view of what waits.
    pub fn new(
        depth: QueueDepth,
    ) -> (
        Self,
        impl Stream<Item = Result<ObjectRef<K>, Infallible>> + Send,
        Waiting<K>,
    )
    where
        ObjectRef<K>: Send,
    {
        let (sender, receiver) = mpsc::unbounded_channel();
        let waiting = Waiting {
            set: Arc::default(),
            depth,
        };
        let queue = Self {
            sender,
            waiting: waiting.clone(),
        };
        (queue, UnboundedReceiverStream::new(receiver).map(Ok), waiting)
    }

    /// Asks for an object to be reconciled.
    pub fn push(&self, object: ObjectRef<K>) {
        {
            let mut set = self.waiting.set.lock();
            if !set.insert(object.clone()) {
                return;
            }
            self.waiting.depth.set(set.len());
        }
        // The receiver is gone only while the process ends; then nobody reconciles any more.
        let _ = self.sender.send(object);
    }

    /// Asks for several objects to be reconciled.
    pub fn push_all(&self, objects: impl IntoIterator<Item = ObjectRef<K>>) {
        for object in objects {
            self.push(object);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::ConfigMap;

    #[tokio::test]
    async fn an_object_that_waits_is_queued_once_and_anew_after_it_was_taken() {
        let (queue, stream, waiting) = Queue::<ConfigMap>::new(QueueDepth::default());
        let mut stream = std::pin::pin!(stream);
        let object = ObjectRef::new("a").within("llm");
        queue.push_all([object.clone(), object.clone()]);
        assert_eq!(stream.next().await, Some(Ok(object.clone())));
        waiting.taken(&object);
        queue.push(object.clone());
        assert_eq!(stream.next().await, Some(Ok(object.clone())));
        drop(queue);
        assert_eq!(stream.next().await, None);
    }
}
