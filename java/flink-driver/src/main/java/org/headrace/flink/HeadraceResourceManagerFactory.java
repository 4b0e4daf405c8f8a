package org.headrace.flink;

import org.apache.flink.configuration.Configuration;
import org.apache.flink.runtime.clusterframework.TaskExecutorProcessUtils;
import org.apache.flink.runtime.resourcemanager.ResourceManagerRuntimeServicesConfiguration;
import org.apache.flink.runtime.resourcemanager.WorkerResourceSpec;
import org.apache.flink.runtime.resourcemanager.WorkerResourceSpecFactory;
import org.apache.flink.runtime.resourcemanager.active.ActiveResourceManagerFactory;
import org.apache.flink.runtime.resourcemanager.active.ResourceManagerDriver;
import org.apache.flink.util.ConfigurationException;

/** Makes Flink's resource manager with our driver. */
final class HeadraceResourceManagerFactory extends ActiveResourceManagerFactory<HeadraceWorker> {

    private final ClusterEnds ends;

    HeadraceResourceManagerFactory() {
        this(ClusterEnds.AS_FLINK_SAYS);
    }

    HeadraceResourceManagerFactory(ClusterEnds ends) {
        this.ends = ends;
    }

    private static final class WorkerSpecs extends WorkerResourceSpecFactory {
        @Override
        public WorkerResourceSpec createDefaultWorkerResourceSpec(Configuration configuration) {
            double cpus = configuration.get(HeadraceOptions.TASK_MANAGER_CPUS);
            return workerResourceSpecFromConfigAndCpu(
                    configuration,
                    TaskExecutorProcessUtils.getCpuCoresWithFallback(configuration, cpus));
        }
    }

    @Override
    protected ResourceManagerDriver<HeadraceWorker> createResourceManagerDriver(
            Configuration configuration, String webInterfaceUrl, String rpcAddress) {
        ends.leads(webInterfaceUrl);
        return new HeadraceResourceManagerDriver(configuration, webInterfaceUrl, ends);
    }

    @Override
    protected ResourceManagerRuntimeServicesConfiguration
            createResourceManagerRuntimeServicesConfiguration(Configuration configuration)
                    throws ConfigurationException {
        return ResourceManagerRuntimeServicesConfiguration.fromConfiguration(
                configuration, new WorkerSpecs());
    }
}
