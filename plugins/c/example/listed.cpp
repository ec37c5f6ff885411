// A plugin in C++ with a source and no platform.
//
// The source reads a file of lines, each with the name of a model, a version and a directory, and says what it lists; it looks
// again every so many milliseconds. A file that cannot be read changes nothing.
//
//     c++ -std=c++17 -O2 -shared -fPIC -fvisibility=hidden -I plugins/c -o liblisted.so plugins/c/example/listed.cpp
//     cp liblisted.so <the server's plugin directory>
//     echo "m 1 /models/m/1" > models.txt
//     salver serve --source listed:file=$PWD/models.txt

#include <chrono>
#include <condition_variable>
#include <fstream>
#include <map>
#include <mutex>
#include <thread>

#include "salver_plugin.hpp"

using Streams = std::map<std::string, std::vector<salver::Aspired>>;

class Listed : public salver::Source {
  public:
    Listed(std::string file, std::chrono::milliseconds period, salver::Target target)
        : file_(std::move(file)), period_(period), target_(target) {
        look();
        thread_ = std::thread([this] { watch(); });
    }

    ~Listed() override {
        {
            std::lock_guard<std::mutex> lock(mutex_);
            ends_ = true;
        }
        wake_.notify_one();
        thread_.join();
    }

  private:
    void watch() {
        std::unique_lock<std::mutex> lock(mutex_);
        while (!wake_.wait_for(lock, period_, [this] { return ends_; })) {
            try {
                look();
            } catch (const std::exception &) {
                // The next look says it again.
            }
        }
    }

    void look() {
        std::ifstream file(file_);
        if (!file) {
            for (const auto &[name, versions] : said_) {
                target_.set_trouble(name, salver::Error(SALVER_NOT_FOUND, "no file `" + file_ + "`"));
            }
            return;
        }
        // What is not listed any more is said to have no version.
        Streams streams;
        for (const auto &[name, versions] : said_) {
            streams[name];
        }
        std::string name, directory;
        for (int64_t version; file >> name >> version >> directory;) {
            streams[name].push_back({version, directory});
        }
        for (const auto &[stream, versions] : streams) {
            target_.set_aspired(stream, versions);
        }
        said_ = std::move(streams);
    }

    const std::string file_;
    const std::chrono::milliseconds period_;
    const salver::Target target_;
    Streams said_;
    std::mutex mutex_;
    std::condition_variable wake_;
    bool ends_ = false;
    std::thread thread_;
};

class ListedKind : public salver::SourceKind {
  public:
    std::string name() const override { return "listed"; }

    std::string description() const override { return "The versions that a file lists."; }

    std::unique_ptr<salver::Source> create(const salver::Options &options, salver::Target target) override {
        auto file = options.text("file");
        if (!file) {
            throw salver::Error(SALVER_INVALID_ARGUMENT, "option `file` is missing, wanted a path");
        }
        const SalverParam *period = options.find("period_ms");
        if (period != nullptr && (period->kind != SALVER_PARAM_INT || period->integer < 1)) {
            throw salver::Error(SALVER_INVALID_ARGUMENT, "option `period_ms` is no number of milliseconds");
        }
        std::chrono::milliseconds every(period != nullptr ? period->integer : 1000);
        return std::make_unique<Listed>(*file, every, target);
    }
};

SALVER_PLUGIN_NOTE_WITH_SOURCES("listed-cpp", "0.1.0", "", "listed");
SALVER_EXPORT_PLUGIN(salver::Platforms<>, salver::Sources<ListedKind>)
