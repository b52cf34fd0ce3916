//! The table by which keys are found, for all threads of a cluster.

use std::sync::{Arc, Mutex, PoisonError};

use signet_mesh::{HashAlgorithm, HashTable, TableEndpoint};

use super::Member;

/// The table of a cluster that was made last.
#[derive(Debug, Default)]
pub(super) struct Hashing(Mutex<Option<Made>>);

#[derive(Debug)]
struct Made {
    algorithm: HashAlgorithm,
    endpoints: Vec<Named>,
    table: Arc<HashTable>,
}

/// By what a table knows an endpoint.
#[derive(Debug, PartialEq, Eq)]
struct Named {
    name: Arc<str>,
    weight: u32,
}

impl Hashing {
    /// The table of these endpoints: the last one, if it is of the same.
    pub(super) fn table(&self, algorithm: HashAlgorithm, members: &[Member]) -> Arc<HashTable> {
        let named = members.iter().map(|member| Named {
            name: Arc::clone(member.endpoint.name()),
            weight: member.weight,
        });
        let endpoints: Vec<_> = named.collect();
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |it: &&mut Made| it.algorithm == algorithm && it.endpoints == endpoints;
        if let Some(made) = last.as_mut().filter(same) {
            return Arc::clone(&made.table);
        }
        let of_table = endpoints.iter().map(|it| TableEndpoint {
            name: &it.name,
            weight: it.weight,
        });
        let of_table: Vec<_> = of_table.collect();
        let table = Arc::new(HashTable::new(algorithm, &of_table));
        *last = Some(Made {
            algorithm,
            endpoints,
            table: Arc::clone(&table),
        });
        table
    }
}
