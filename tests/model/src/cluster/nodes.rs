//! Nodes: starting and stopping them, and where they are.

use core::time::Duration;

use super::{AdminError, Cluster, Node, NodeId, NodeState};
use crate::{Happening, Versions, producer_state::Sweep};

impl Cluster {
    /// The ids of all nodes, in their order.
    pub fn nodes(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.nodes.keys().copied()
    }

    /// The host and port that a node advertises; `None` where that is no port of TCP's.
    #[must_use]
    pub fn address(&self, node: NodeId) -> Option<(&str, u16)> {
        let config = &self.nodes.get(&node)?.config;
        Some((&config.host, u16::try_from(config.port).ok()?))
    }

    /// Sets the host and port that a node advertises, be they none that there are.
    ///
    /// # Errors
    /// [`AdminError::UnknownNode`].
    pub fn set_address(
        &mut self,
        node: NodeId,
        host: &str,
        port: impl Into<i32>,
    ) -> Result<(), AdminError> {
        let config = &mut self.node_mut(node)?.config;
        host.clone_into(&mut config.host);
        config.port = port.into();
        Ok(())
    }

    /// Sets the API versions that a node speaks, as an upgrade does.
    ///
    /// # Errors
    /// [`AdminError::UnknownNode`].
    pub fn set_versions(&mut self, node: NodeId, versions: Versions) -> Result<(), AdminError> {
        self.node_mut(node)?.config.versions = versions;
        Ok(())
    }

    /// Sets for how long a node throttles a client with each answer (KIP-219): the answer comes at
    /// once and says so, and the node reads on from the connection when the time is over.
    ///
    /// # Errors
    /// [`AdminError::UnknownNode`].
    pub fn set_throttle(&mut self, node: NodeId, throttle: Duration) -> Result<(), AdminError> {
        self.node_mut(node)?.throttle = throttle;
        Ok(())
    }

    /// For how long a node throttles now; not at all where there is no such node.
    #[must_use]
    pub fn throttle_of(&self, node: NodeId) -> Duration {
        self.nodes.get(&node).map_or(Duration::ZERO, |node| node.throttle)
    }

    /// Freezes a node, as SIGSTOP does: connections stay, what is sent to it waits, and nothing is
    /// handled or answered until it is thawed. Then everything is handled, whether or not the
    /// client is still there.
    ///
    /// # Errors
    /// [`AdminError::UnknownNode`].
    pub fn freeze(&mut self, id: NodeId) -> Result<(), AdminError> {
        let node = self.node_mut(id)?;
        if node.state == NodeState::Up {
            node.state = NodeState::Frozen;
            self.note(|| Happening::Frozen { node: id });
        }
        Ok(())
    }

    /// Thaws a node that was frozen. Its connections go on at their next
    /// [`advance`](crate::Connection::advance).
    ///
    /// # Errors
    /// [`AdminError::UnknownNode`].
    pub fn thaw(&mut self, id: NodeId) -> Result<(), AdminError> {
        let node = self.node_mut(id)?;
        if node.state == NodeState::Frozen {
            node.state = NodeState::Up;
            self.note(|| Happening::Thawed { node: id });
        }
        Ok(())
    }

    /// Stops a node. Its connections close, clients are told of it no more, and the partitions
    /// that it leads have no leader until [`move_leader`](Self::move_leader) or
    /// [`start`](Self::start). Of the producers' state on those partitions is left what
    /// [`ClusterConfig::restart_window`](crate::ClusterConfig::restart_window) says.
    ///
    /// # Errors
    /// [`AdminError::UnknownNode`].
    pub fn stop(&mut self, node: NodeId) -> Result<(), AdminError> {
        let window = self.config.restart_window;
        // Who loads a snapshot leaves out whoever has expired by then.
        let sweep = Sweep { at: Duration::MAX, ..self.sweep_at(self.clock) };
        let stopped = self.node_mut(node)?;
        stopped.state = NodeState::Down;
        stopped.life = stopped.life.wrapping_add(1);
        let mut forgot = Vec::new();
        for topic in self.topics.values_mut() {
            for (index, partition) in (0..).zip(&mut topic.partitions) {
                let led = partition.leader == Some(node);
                if led && partition.log.producers.restart(window, sweep) {
                    forgot.push((topic.name.clone(), index));
                }
            }
        }
        self.note(|| Happening::Stopped { node });
        for (topic, partition) in forgot {
            self.note(|| Happening::Forgot { topic, partition, at: None });
        }
        Ok(())
    }

    /// Starts a node that was stopped.
    ///
    /// # Errors
    /// [`AdminError::UnknownNode`].
    pub fn start(&mut self, id: NodeId) -> Result<(), AdminError> {
        let node = self.node_mut(id)?;
        if node.state == NodeState::Down {
            node.state = NodeState::Up;
            self.note(|| Happening::Started { node: id });
        }
        Ok(())
    }

    /// Stops a node and starts it again.
    ///
    /// # Errors
    /// [`AdminError::UnknownNode`].
    pub fn restart(&mut self, node: NodeId) -> Result<(), AdminError> {
        self.stop(node)?;
        self.start(node)
    }

    /// Whether a node runs, be it frozen: whether its port takes connections.
    #[must_use]
    pub fn is_up(&self, node: NodeId) -> bool {
        self.state(node) != NodeState::Down
    }

    /// Whether a node is frozen.
    #[must_use]
    pub fn is_frozen(&self, node: NodeId) -> bool {
        self.state(node) == NodeState::Frozen
    }

    pub(crate) fn state(&self, node: NodeId) -> NodeState {
        self.nodes.get(&node).map_or(NodeState::Down, |node| node.state)
    }

    pub(crate) fn node_mut(&mut self, node: NodeId) -> Result<&mut Node, AdminError> {
        self.nodes.get_mut(&node).ok_or(AdminError::UnknownNode)
    }
}
