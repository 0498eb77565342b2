//! A server, as all who talk to it know it: its tools, and what is kept of them.

use std::path::Path;
use std::sync::Arc;

use carboy_engine::{Fault, Objection, Scheme, Target};
use carboy_wire::mcp::{Baseline, Card, Catalogue, Tool};
use parking_lot::Mutex;

use super::server_name::ServerName;
use super::shelf::{Shelf, ShelfError, neighbours};
use crate::gate::{Gate, Pass, Refused};

/// A server, as all who talk to it know it.
pub struct Server {
    pub(super) gate: Arc<Gate>,
    pub(super) target: Target,
    /// Where its tools are kept; none where they are remembered for as long as the gate runs.
    shelf: Option<Shelf>,
    pub(super) catalogue: Mutex<Catalogue>,
    /// Whoever asks the server for its tools, and how often it was asked.
    pub(super) listing: tokio::sync::Mutex<u64>,
}

impl Server {
    /// The server `name` behind a pipe, with what the state directory keeps of it.
    ///
    /// # Errors
    /// When what is kept cannot be read.
    pub fn piped(
        gate: Arc<Gate>,
        state: &Path,
        name: &ServerName,
    ) -> Result<Arc<Self>, ShelfError> {
        let target = Target {
            scheme: Scheme::Mcp,
            host: name.host().clone(),
            port: 0,
        };
        Self::within(gate, Some(state), name, target)
    }

    /// The server `name` at a far end.
    ///
    /// # Errors
    /// When what is kept cannot be read.
    pub fn remote(
        gate: Arc<Gate>,
        state: &Path,
        name: &ServerName,
        target: Target,
    ) -> Result<Arc<Self>, ShelfError> {
        Self::within(gate, Some(state), name, target)
    }

    /// The same, whose tools may not be kept anywhere.
    pub(super) fn within(
        gate: Arc<Gate>,
        state: Option<&Path>,
        name: &ServerName,
        target: Target,
    ) -> Result<Arc<Self>, ShelfError> {
        let name = name.to_string();
        let shelf = state.map(|state| Shelf::new(state, &name));
        let catalogue = match (&shelf, state) {
            (Some(shelf), Some(state)) => {
                Catalogue::new(&name, shelf.read()?, &neighbours(state, &name)?)
            }
            (Some(_) | None, _) => Catalogue::new(&name, Baseline::default(), &[]),
        };
        Ok(Arc::new(Self {
            gate,
            target,
            shelf,
            catalogue: Mutex::new(catalogue),
            listing: tokio::sync::Mutex::new(0),
        }))
    }

    /// What is wrong with a page of tools, if anything. Tools that were not known are kept from now on,
    /// and so is what changed, for a person to look at.
    pub(super) fn judge_tools(&self, tools: &[Tool]) -> Result<Option<Objection>, ShelfError> {
        let mut catalogue = self.catalogue.lock();
        if let Some(Objection::ToolChanged { .. }) = catalogue.judge(tools) {
            // A person may have accepted it since.
            if let Some(shelf) = &self.shelf {
                catalogue.refresh(shelf.read()?);
            }
        }
        let objection = catalogue.judge(tools);
        match &objection {
            None => {
                let is_known = |tool: &Tool| catalogue.baseline().tools.contains_key(&*tool.name);
                if !tools.iter().all(is_known) {
                    self.keep(&mut catalogue, |kept| {
                        kept.pin(tools);
                    })?;
                    return Ok(catalogue.judge(tools));
                }
            }
            Some(Objection::ToolChanged { .. }) => {
                self.keep(&mut catalogue, |kept| kept.note_changes(tools))?;
                catalogue.disown(tools);
            }
            Some(
                Objection::ToolLookalike { .. }
                | Objection::ToolUnlisted { .. }
                | Objection::Unsolicited,
            ) => {}
        }
        Ok(objection)
    }

    fn keep(
        &self,
        catalogue: &mut Catalogue,
        change: impl FnOnce(&mut Baseline),
    ) -> Result<(), ShelfError> {
        let kept = match &self.shelf {
            Some(shelf) => shelf.update(change)?,
            None => {
                let mut kept = catalogue.baseline().clone();
                change(&mut kept);
                kept
            }
        };
        catalogue.refresh(kept);
        Ok(())
    }

    /// Judges an agent's card, which comes as the answer of `pass`: what it says, and whether it is what
    /// it was.
    ///
    /// # Errors
    /// The refusal.
    pub(super) fn hear_card(&self, pass: &mut Pass, bytes: &[u8]) -> Result<(), Refused> {
        let card = read_card(pass, bytes)?;
        card.surfaces(|surface| pass.push(surface).map(drop))?;
        self.compare_card(pass, &card)
    }

    /// Judges whether an agent's card, what it says of which was judged, is what it was.
    ///
    /// # Errors
    /// The refusal.
    pub(super) fn hear_card_again(&self, pass: &mut Pass, bytes: &[u8]) -> Result<(), Refused> {
        let card = read_card(pass, bytes)?;
        self.compare_card(pass, &card)
    }

    fn compare_card(&self, pass: &mut Pass, card: &Card<'_>) -> Result<(), Refused> {
        match self.judge_tools(&card.parts) {
            Ok(None) => Ok(()),
            Ok(Some(objection)) => pass.object(&objection),
            Err(error) => Err(pass.end_with(Fault::State(error.to_string()))),
        }
    }

    /// Whether it has ever listed a tool.
    pub(super) fn has_tools(&self) -> bool {
        !self.catalogue.lock().baseline().tools.is_empty()
    }

    pub(super) fn gate(&self) -> &Arc<Gate> {
        &self.gate
    }

    pub(super) fn target(&self) -> &Target {
        &self.target
    }
}

fn read_card<'a>(pass: &mut Pass, bytes: &'a [u8]) -> Result<Card<'a>, Refused> {
    let card = match Card::read(bytes) {
        Ok(card) => card,
        Err(flaw) => return Err(pass.end_with(Fault::Malformed(flaw.to_string()))),
    };
    pass.speaks(match card.is_signed {
        true => "a2a-card-signed",
        false => "a2a-card",
    });
    Ok(card)
}
