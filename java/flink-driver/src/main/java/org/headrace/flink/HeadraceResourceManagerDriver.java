package org.headrace.flink;

import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.JobManagerOptions;
import org.apache.flink.configuration.ResourceManagerOptions;
import org.apache.flink.runtime.clusterframework.ApplicationStatus;
import org.apache.flink.runtime.clusterframework.TaskExecutorProcessSpec;
import org.apache.flink.runtime.clusterframework.TaskExecutorProcessUtils;
import org.apache.flink.runtime.clusterframework.types.ResourceID;
import org.apache.flink.runtime.resourcemanager.active.AbstractResourceManagerDriver;
import org.apache.flink.runtime.util.config.memory.ProcessMemoryUtils;

import java.io.IOException;
import java.nio.file.Path;
import java.security.SecureRandom;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import java.util.stream.Collectors;

/**
 * Lets Flink ask the application master for TaskManagers.
 *
 * <p>Flink calls it on its main thread, and only there it touches the book. Two threads talk to the
 * application master: one sends commands, one polls for events.
 */
final class HeadraceResourceManagerDriver extends AbstractResourceManagerDriver<HeadraceWorker>
        implements EventPoller.Listener {

    /** Below the 5 s after which Flink's shutdown safeguard ends the JVM. */
    private static final Duration DEREGISTER_LIMIT = Duration.ofSeconds(4);

    private static final class Pending {
        final WorkerRequest request;
        final CompletableFuture<HeadraceWorker> future = new CompletableFuture<>();

        Pending(WorkerRequest request) {
            this.request = request;
        }
    }

    /** Unique per driver, also when one JVM leads twice, so that no worker id comes twice. */
    private final String attempt = newAttempt();

    private final WorkerBook<Pending> book = new WorkerBook<>();
    private final Duration attachTimeout;
    private final Duration recoveryTimeout;
    private final ClusterEnds ends;
    private final ApplicationMasterClient client;
    private final CommandSender sender;
    private final EventPoller poller;
    private long requests;

    HeadraceResourceManagerDriver(Configuration configuration, String webUrl, ClusterEnds ends) {
        super(configuration, configuration);
        this.ends = ends;
        attachTimeout = configuration.get(HeadraceOptions.DRIVER_ATTACH_TIMEOUT);
        recoveryTimeout =
                configuration.get(
                        ResourceManagerOptions.RESOURCE_MANAGER_PREVIOUS_WORKER_RECOVERY_TIMEOUT);
        client =
                new ApplicationMasterClient(
                        required(configuration, HeadraceOptions.DRIVER_URL),
                        Path.of(required(configuration, HeadraceOptions.DRIVER_TOKEN_FILE)));
        String web = webUrl == null ? "" : webUrl;
        String rpc =
                configuration.get(JobManagerOptions.ADDRESS)
                        + ":"
                        + configuration.get(JobManagerOptions.PORT);
        sender = new CommandSender(log, client, this::onRequestRefused);
        poller = new EventPoller(log, client, left -> client.attach(attempt, web, rpc, left), this);
    }

    /**
     * Attaches to the application master and waits for its answer.
     *
     * <p>This is the one wait on the main thread, on purpose: Flink confirms its leadership after
     * it. A TaskManager of a previous attempt that registered before Flink knows it would be
     * rejected, and would end.
     */
    @Override
    protected void initializeInternal() throws Exception {
        Attachment attachment = Retry.within(attachTimeout, poller::attach);
        log.info(
                "Attached to the application master as attempt {}, workers: {}",
                attempt,
                attachment.workers);
        book.attached(attachment);
        if (!attachment.workers.isEmpty()) {
            // Flink counts a recovered worker only when it registers, and until then asks for
            // another in its place to keep slotmanager.number-of-slots.min. It cancels those later.
            sender.holdRequests(recoveryTimeout);
        }
        sender.start();
        poller.start(attachment.sequence);
        getResourceEventHandler()
                .onPreviousAttemptWorkersRecovered(
                        attachment.workers.stream()
                                .map(HeadraceWorker::new)
                                .collect(Collectors.toList()));
    }

    @Override
    public CompletableFuture<HeadraceWorker> requestResource(TaskExecutorProcessSpec spec) {
        Pending pending = new Pending(newRequest(spec));
        String id = pending.request.id;
        book.requested(id, pending);
        pending.future.whenComplete(
                (worker, error) -> {
                    if (error instanceof CancellationException && book.withdrawn(id).isPresent()) {
                        log.info("Request {} is no longer needed.", id);
                        sender.release(id);
                    }
                });
        sender.request(pending.request);
        return pending.future;
    }

    @Override
    public void releaseResource(HeadraceWorker worker) {
        String id = worker.getResourceID().getResourceIdString();
        book.released(id);
        sender.release(id);
    }

    /** Waits for the answer for a short time, because the JVM ends after this. */
    @Override
    public void deregisterApplication(ApplicationStatus said, String diagnostics) {
        ApplicationStatus status = ends.status(said);
        try {
            Retry.within(
                    DEREGISTER_LIMIT,
                    left -> {
                        client.deregister(
                                status.name(), diagnostics == null ? "" : diagnostics, left);
                        return null;
                    });
        } catch (IOException e) {
            log.warn("The application master was not told of the end: {}", e.toString());
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    @Override
    public void terminate() {
        sender.stop();
        poller.stop();
    }

    @Override
    public void onEvents(EventBatch batch) {
        getMainThreadExecutor()
                .execute(
                        () -> batch.events.forEach(e -> book.apply(e).ifPresent(this::act)));
    }

    @Override
    public void onReattached(Attachment attachment) {
        getMainThreadExecutor().execute(() -> book.reattached(attachment).forEach(this::act));
    }

    private void onRequestRefused(String id, IOException error) {
        getMainThreadExecutor()
                .execute(
                        () ->
                                book.withdrawn(id)
                                        .ifPresent(p -> p.future.completeExceptionally(error)));
    }

    private void act(WorkerBook.Change<Pending> change) {
        switch (change.action) {
            case COMPLETE:
                change.request.future.complete(new HeadraceWorker(change.id));
                break;
            case FAIL:
                change.request.future.completeExceptionally(
                        new IOException(
                                "TaskManager " + change.id + " did not start: " + change.reason));
                break;
            case TERMINATED:
                sender.exemptRequest();
                getResourceEventHandler()
                        .onWorkerTerminated(new ResourceID(change.id), change.reason);
                break;
            case RELEASE:
                sender.release(change.id);
                break;
            case ASK_AGAIN:
                sender.requestAgain(change.request.request);
                break;
        }
    }

    private WorkerRequest newRequest(TaskExecutorProcessSpec spec) {
        String id = String.format(Locale.ROOT, "taskmanager-%s-%05d", attempt, ++requests);
        return new WorkerRequest(
                id,
                spec.getCpuCores().getValue().doubleValue(),
                spec.getTotalProcessMemorySize().getMebiBytes(),
                spec.getNumSlots(),
                ProcessMemoryUtils.generateJvmParametersStr(spec),
                dynamicProperties(spec, id));
    }

    private List<String> dynamicProperties(TaskExecutorProcessSpec spec, String id) {
        String sizes = TaskExecutorProcessUtils.generateDynamicConfigsStr(spec).trim();
        List<String> arguments = new ArrayList<>(Arrays.asList(sizes.split("\\s+")));
        // The real port: the configured one may be 0 or a range.
        List<String> own = new ArrayList<>();
        own.add("taskmanager.resource-id=" + id);
        own.add("jobmanager.rpc.address=" + flinkConfig.get(JobManagerOptions.ADDRESS));
        own.add("jobmanager.rpc.port=" + flinkConfig.get(JobManagerOptions.PORT));
        if (flinkConfig.contains(HeadraceOptions.LEADERS)) {
            own.add(
                    HeadraceOptions.LEADERS.key()
                            + "="
                            + flinkConfig.get(HeadraceOptions.LEADERS));
        }
        for (String property : own) {
            arguments.add("-D");
            arguments.add(property);
        }
        return arguments;
    }

    private static String newAttempt() {
        int salt = new SecureRandom().nextInt(36 * 36 * 36);
        return Long.toString(System.currentTimeMillis(), 36) + Integer.toString(salt, 36);
    }

    private static String required(Configuration configuration, ConfigOption<String> option) {
        String value = configuration.get(option);
        if (value == null || value.isEmpty()) {
            throw new IllegalArgumentException("The option " + option.key() + " is not set.");
        }
        return value;
    }
}
