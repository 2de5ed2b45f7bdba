//! Ranks that are threads of one process.

use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use sharpness_network::{Communicator, Ranks};

/// A rank that does not arrive within this time has failed.
const PATIENCE: Duration = Duration::from_secs(120);

/// What the ranks have sent, and who has arrived.
#[derive(Debug)]
struct Place {
    size: usize,
    /// The words of each rank for each rank.
    sent: Mutex<Vec<Vec<Vec<u64>>>>,
    /// How many have arrived, and how often all have.
    arrived: Mutex<(usize, usize)>,
    all: Condvar,
}

impl Place {
    fn meet(&self) {
        let mut arrived = self.arrived.lock().unwrap();
        let round = arrived.1;
        arrived.0 += 1;
        if arrived.0 == self.size {
            *arrived = (0, round + 1);
            self.all.notify_all();
            return;
        }
        let waited = self.all.wait_timeout_while(arrived, PATIENCE, |now| now.1 == round).unwrap();
        assert!(!waited.1.timed_out(), "another rank is gone, or calls something else");
    }

    /// Sends the words for each rank and receives those of each.
    fn exchange(&self, rank: usize, outgoing: Vec<Vec<u64>>) -> Vec<Vec<u64>> {
        self.sent.lock().unwrap()[rank] = outgoing;
        self.meet();
        let received = self.sent.lock().unwrap().iter().map(|sent| sent[rank].clone()).collect();
        self.meet();
        received
    }
}

#[derive(Debug)]
struct Thread {
    rank: usize,
    place: Arc<Place>,
}

impl Communicator for Thread {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.place.size
    }

    fn exchange(&self, outgoing: &[u64], outgoing_counts: &[usize], incoming_counts: &[usize]) -> Vec<u64> {
        let mut rest = outgoing;
        let parts = outgoing_counts.iter().map(|&count| rest.split_off(..count).unwrap().to_vec()).collect();
        assert!(rest.is_empty(), "every word has a receiver");
        let received = self.place.exchange(self.rank, parts);
        let counts: Vec<usize> = received.iter().map(Vec::len).collect();
        assert_eq!(counts, incoming_counts, "rank {} expects what the others send", self.rank);
        received.concat()
    }

    fn gather(&self, own: &[u64], counts: &[usize]) -> Vec<u64> {
        let received = self.place.exchange(self.rank, vec![own.to_vec(); self.place.size]);
        assert_eq!(received.iter().map(Vec::len).collect::<Vec<_>>(), counts, "of rank {}", self.rank);
        received.concat()
    }
}

/// What each of `size` ranks returns.
pub(crate) fn on_ranks<T: Send>(size: usize, work: impl Fn(&Ranks) -> T + Sync) -> Vec<T> {
    let sent = Mutex::new(vec![Vec::new(); size]);
    let place = Arc::new(Place { size, sent, arrived: Mutex::new((0, 0)), all: Condvar::new() });
    let work = &work;
    std::thread::scope(|scope| {
        let start = |rank| {
            let thread = Thread { rank, place: Arc::clone(&place) };
            scope.spawn(move || work(&Ranks::new(Arc::new(thread))))
        };
        let threads: Vec<_> = (0..size).map(start).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}
