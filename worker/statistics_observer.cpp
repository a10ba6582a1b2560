#include "worker/statistics_observer.hpp"

namespace fp8cal {

StatisticsObserver::StatisticsObserver(Backend& backend, const ModelConfig& config, Range layers,
                                       std::size_t sequences, int slices, int slice)
    : backend_(backend),
      config_(config),
      layers_(layers),
      sequences_(sequences),
      slices_(slices),
      slice_(slice),
      histograms_(backend.allocate(layers.count * kSites * kHistogramBins * sizeof(std::uint64_t))),
      maxima_(backend.allocate(layers.count * maxima_per_layer() * sizeof(std::uint32_t))) {
  backend_.fill_zero(histograms_.data(), histograms_.bytes());
  backend_.fill_zero(maxima_.data(), maxima_.bytes());
}

void StatisticsObserver::begin(std::size_t first_sequence, std::size_t sequence_length) {
  first_sequence_ = first_sequence;
  sequence_length_ = sequence_length;
}

void StatisticsObserver::observe(std::size_t layer, Site site, ConstMatrix x,
                                 std::size_t first_row) {
  Observation into = slots(layer, site);
  into.sequence_amax += first_sequence_;
  Range rows = {0, x.rows};
  if (site == Site::key || site == Site::value) {
    into.channel_amax += x.cols * static_cast<std::size_t>(slice_);
  } else {
    // Every slice holds all channels: each counts its share of the rows.
    rows = share_of(x.rows, slices_, slice_);
  }
  const ConstMatrix share = {
      static_cast<const std::byte*>(x.data) + rows.first * x.stride * size_of(x.dtype), x.dtype,
      rows.count, x.cols, x.stride};
  backend_.observe(share, first_row + rows.first, sequence_length_, into);
}

void StatisticsObserver::start_from(const LayerStatistics& before) {
  for (std::size_t s = 0; s < kSites; ++s) {
    const Observation into = slots(before.layer, static_cast<Site>(s));
    const auto upload = [this]<class T>(void* to, const std::vector<T>& from) {
      backend_.upload(to, from.data(), from.size() * sizeof(T));
    };
    upload(into.histogram, before.activations[s].histogram);
    upload(into.channel_amax, before.activations[s].channel_amax);
    upload(into.sequence_amax, before.sequence_amax[s]);
  }
  backend_.synchronize();  // `before` may be gone next
}

void StatisticsObserver::merge_on_first(Collectives& group) {
  merge(group);
  // Maxima may be counted twice.
  if (group.rank() != 0) backend_.fill_zero(histograms_.data(), histograms_.bytes());
}

void StatisticsObserver::merge(Collectives& group) {
  if (group.size() == 1) return;
  group.all_sum(histograms_.as<std::uint64_t>(), histograms_.bytes() / sizeof(std::uint64_t));
  group.all_max(maxima_.as<std::uint32_t>(), maxima_.bytes() / sizeof(std::uint32_t));
  group.wait();
}

void StatisticsObserver::download(LayerStatistics& into) const {
  for (std::size_t s = 0; s < kSites; ++s) {
    const Site site = static_cast<Site>(s);
    const Observation from = slots(into.layer, site);
    ActivationStatistics& statistics = into.activations[s];
    statistics.histogram.resize(kHistogramBins);
    statistics.channel_amax.resize(channels_of(site, config_));
    std::vector<float>& sequence_amax = into.sequence_amax[s];
    sequence_amax.resize(sequences_);
    // The bits of a float are that float: see Observation.
    backend_.download(statistics.histogram.data(), from.histogram,
                      kHistogramBins * sizeof(std::uint64_t));
    backend_.download(statistics.channel_amax.data(), from.channel_amax,
                      statistics.channel_amax.size() * sizeof(float));
    backend_.download(sequence_amax.data(), from.sequence_amax,
                      sequence_amax.size() * sizeof(float));
    statistics.snapshots = snapshots_of(sequence_amax);
  }
}

Observation StatisticsObserver::slots(std::size_t layer, Site site) const {
  const std::size_t index = layer - layers_.first;
  std::uint32_t* maxima = maxima_.as<std::uint32_t>() + index * maxima_per_layer();
  for (std::size_t s = 0; s < static_cast<std::size_t>(site); ++s) {
    maxima += channels_of(static_cast<Site>(s), config_) + sequences_;
  }
  return {.histogram = histograms_.as<std::uint64_t>() +
                       (index * kSites + static_cast<std::size_t>(site)) * kHistogramBins,
          .channel_amax = maxima,
          .sequence_amax = maxima + channels_of(site, config_)};
}

std::size_t StatisticsObserver::maxima_per_layer() const {
  std::size_t count = 0;
  for (std::size_t s = 0; s < kSites; ++s) {
    count += channels_of(static_cast<Site>(s), config_) + sequences_;
  }
  return count;
}

}  // namespace fp8cal
